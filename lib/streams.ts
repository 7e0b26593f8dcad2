// What is a stream, of the web's kind or of Node's, and whether it may be sent. `readable.ts` and `writable.ts` have the flows.
import { ProtocolError } from './errors.js'

/** What is used of a stream of Node's; `node:stream` itself is not there in a browser. */
export interface NodeReadable extends AsyncIterable<unknown> {
  readonly readableObjectMode: boolean
  readonly readableEncoding: string | null
  iterator(options: { destroyOnReturn: boolean }): AsyncIterator<unknown>
  destroy(error?: Error): void
  on(name: 'error', listener: (error: Error) => void): void
  off(name: 'error', listener: (error: Error) => void): void
}
export interface NodeWritable {
  write(chunk: unknown, done: (error?: Error | null) => void): boolean
  end(done: () => void): void
  destroy(error?: Error): void
  on(name: 'error', listener: (error: Error) => void): void
  off(name: 'error', listener: (error: Error) => void): void
}

/** One side of a stream of Node's that can be read and written. */
export class NodeEnd {
  constructor(readonly stream: object) {}
}

/** Streams of Node's that were sent: they have no lock that would say so. */
export const sent = new WeakSet<object>()

/** What to read and what to write of a pair of streams. */
export function endsOf(pair: object): { readonly readable: object; readonly writable: object } {
  if ('readable' in pair && typeof pair.readable === 'object') return pair as TransformStream
  return { readable: new NodeEnd(pair), writable: new NodeEnd(pair) }
}

export const isLocked = (stream: object): boolean =>
  (stream as { locked?: boolean }).locked === true || sent.has(stream)

/** Ends a stream that nobody has begun to read or write, and nobody will: what it fails with is nobody's business. */
export function discard(end: object): void {
  const stream = end instanceof NodeEnd ? end.stream : end
  if (isLocked(stream)) return
  if (stream instanceof ReadableStream) stream.cancel().catch(ignore)
  else if (stream instanceof WritableStream) stream.abort().catch(ignore)
  else {
    const { on, destroy } = stream as NodeReadable | NodeWritable
    on.call(stream, 'error', ignore)
    destroy.call(stream)
  }
}

const ignore = () => {}

/** A pair of streams as the one thing it was at home. The class's own accessors ask for what it did not make. */
export function transformOf(ends: unknown): object {
  const [readable, writable] = (Array.isArray(ends) ? ends : []) as unknown[]
  if (!(readable instanceof ReadableStream && writable instanceof WritableStream))
    throw new ProtocolError('a pair of streams that is none')
  return Object.create(TransformStream.prototype, {
    readable: { value: readable, enumerable: true },
    writable: { value: writable, enumerable: true }
  })
}
