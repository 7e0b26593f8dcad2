// Follows the life of a page: it is closed, waits in the back/forward cache, or its network changes. In a worker only the
// network changes. Node has none of these events.
import type { Unsubscribe } from '../util/shared-listener.js'

/** What happens to a connection with its page. */
export interface PageConnection {
  /** The page is closed: no code of it will run any more. */
  close(): void
  /** The page enters the back/forward cache, in which it must not have a socket. */
  suspend(): void
  /** The page has left the back/forward cache. */
  resume(): void
  /** The network has changed. */
  probe(): void
}

/** Whether the page enters or leaves the back/forward cache. */
const isPersisted = (event: Event) => (event as Event & { readonly persisted?: boolean }).persisted === true

/** @returns a function that stops following */
export function followPage(connection: PageConnection): Unsubscribe {
  const listeners: Readonly<Record<string, (event: Event) => void>> = {
    pagehide: event => (isPersisted(event) ? connection.suspend() : connection.close()),
    pageshow: event => isPersisted(event) && connection.resume(),
    online: () => connection.probe(),
    offline: () => connection.probe()
  }
  const page = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>
  const each = (act: 'addEventListener' | 'removeEventListener') => {
    for (const [type, listener] of Object.entries(listeners)) page[act]?.(type, listener)
  }
  each('addEventListener')
  return () => each('removeEventListener')
}
