// The part of react-test-renderer that specs use; it has no types of its own.
declare module 'react-test-renderer' {
  import type { ReactNode } from 'react'

  interface Renderer {
    update(element: ReactNode): void
    unmount(): void
    toJSON(): unknown
  }
  export function create(element: ReactNode, options?: { unstable_isConcurrent?: boolean }): Renderer
}
