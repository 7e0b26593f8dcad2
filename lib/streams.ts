// Streams, of the web's kind and of Node's: read and written at home, and what stands for them on the other side.

import { ProtocolError, Refusal } from './errors.js'
import { Feed } from './feed.js'
import type { ArrivedFlow, HomeFlow } from './flows.js'
import type { Inflow } from './inflow.js'
import type { Ref } from './netref.js'
import type { Origin, Source } from './outflow.js'
import { Op } from './protocol.js'

/** Bytes of a byte stream go in pieces of that many: what else is to be sent need not wait for long. */
const PIECE = 60 << 10
/** Room for what goes with a piece in its frame. */
const BESIDE = 1 << 10

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
const sent = new WeakSet<object>()

/** What to read and what to write of a pair of streams. */
export function endsOf(pair: object): { readonly readable: object; readonly writable: object } {
  if (pair instanceof TransformStream) return pair
  return { readable: new NodeEnd(pair), writable: new NodeEnd(pair) }
}

export const isLocked = (stream: object): boolean =>
  (stream as { locked?: boolean }).locked === true || sent.has(stream)

/** What to read a stream with, whether it is of bytes, and how to give it back unread. */
export interface Opened extends Origin {
  readonly bytes: boolean
}

/** `frameBytes` tells what the peer takes in a frame. */
export function openReadable(stream: object, frameBytes: () => number): Opened {
  const { source, bytes, restore } =
    stream instanceof ReadableStream ? readerOf(stream) : readerOfNode(stream as NodeReadable | NodeEnd)
  const read = bytes ? inPieces(source, () => Math.min(PIECE, frameBytes() - BESIDE)) : source
  return { source: read, open: () => read, bytes, restore }
}

interface Reader {
  readonly source: Source
  readonly bytes: boolean
  readonly restore: () => void
}

function readerOf(stream: ReadableStream<unknown>): Reader {
  const bytes = isByteStream(stream)
  const reader = stream.getReader()
  const source: Source = {
    next: () => reader.read(),
    return: async reason => {
      await reader.cancel(reason)
      return { done: true, value: undefined }
    }
  }
  return { source, bytes, restore: () => reader.releaseLock() }
}

/** A stream does not say of itself that it is one of bytes. */
function isByteStream(stream: ReadableStream): boolean {
  try {
    stream.getReader({ mode: 'byob' }).releaseLock()
    return true
  } catch {
    return false
  }
}

function readerOfNode(object: NodeReadable | NodeEnd): Reader {
  const stream = (object instanceof NodeEnd ? object.stream : object) as NodeReadable
  sent.add(stream)
  // It may fail before it is read: its reader is told.
  stream.on('error', ignore)
  const bytes = !stream.readableObjectMode && stream.readableEncoding === null
  let chunks: AsyncIterator<unknown> | undefined
  const source: Source = {
    next: () => {
      // It may be written for longer than it is read.
      chunks ??= stream.iterator({ destroyOnReturn: false })
      return chunks.next()
    },
    return: reason => {
      stream.destroy(reason instanceof Error ? reason : undefined)
      return { done: true, value: undefined }
    }
  }
  const restore = () => {
    sent.delete(stream)
    stream.off('error', ignore)
  }
  return { source, bytes, restore }
}

const ignore = () => {}

/** The same bytes, none of them many at a time. */
function inPieces(source: Source, size: () => number): Source {
  let rest = new Uint8Array()
  const piece = () => {
    const value = rest.subarray(0, size())
    rest = rest.subarray(value.byteLength)
    return { done: false, value }
  }
  return {
    async next() {
      if (rest.byteLength > 0) return piece()
      const step = (await source.next()) as { done: boolean; value: ArrayBufferView<ArrayBuffer> }
      if (step.done) return step
      const { buffer, byteOffset, byteLength } = step.value
      rest = new Uint8Array(buffer, byteOffset, byteLength)
      return piece()
    },
    return: reason => source.return!(reason)
  }
}

/** A stream to read here what its home sends. */
export function readableOf(inflow: Inflow, bytes: boolean): ReadableStream {
  const source = {
    async pull(controller: ReadableByteStreamController | ReadableStreamDefaultController) {
      const { done, value } = await inflow.read()
      if (!done) return controller.enqueue((bytes ? own(value, inflow) : value) as Uint8Array)
      controller.close()
      if ('byobRequest' in controller) controller.byobRequest?.respond(0)
    },
    cancel: (reason: unknown) => inflow.drive('return', reason).then(() => {})
  }
  return bytes
    ? new ReadableStream({ ...source, type: 'bytes' })
    : new ReadableStream(source, { highWaterMark: 0 })
}

/** A stream takes the buffer of what it is given: not the one that a whole frame is in. */
function own(chunk: unknown, inflow: Inflow): Uint8Array<ArrayBuffer> {
  if (chunk instanceof Uint8Array && chunk.byteLength > 0) return new Uint8Array(chunk)
  const error = new TypeError(`${inflow.ref.label}: a chunk of a byte stream that is no bytes`)
  inflow.fail(error)
  throw error
}

/** A stream of this side that the other side writes: it sends an iterator, which is read here. */
export class HomeWritable implements HomeFlow {
  readonly #sink: Sink
  #piped = false
  /** Nothing is to be written any more, or it was aborted. */
  #over = false

  constructor(stream: object) {
    this.#sink = stream instanceof WritableStream ? openWritable(stream) : openNodeWritable(stream)
  }

  async drive(method: string, given: unknown): Promise<void> {
    if (method === 'pipe' && isReadable(given) && !this.#piped) return this.#pipe(given)
    if (method !== 'abort') throw new Refusal('not-exposed', 'a stream to write takes one iterator')
    // At once, also while a chunk is being written.
    await this.#abort(given)
  }

  async #pipe(source: AsyncIterable<unknown>): Promise<void> {
    this.#piped = true
    try {
      for await (const chunk of source) await this.#sink.write(chunk)
    } catch (error) {
      await this.#abort(error)
      throw error
    }
    this.#over = true
    await this.#sink.close()
  }

  end(reason: Error = new DOMException('the other side has let go of it', 'AbortError')): void {
    if (!this.#over) this.#abort(reason).catch(() => {})
  }

  #abort(reason: unknown): Promise<void> {
    this.#piped = this.#over = true
    return this.#sink.abort(reason)
  }

  undo(): void {
    this.#sink.restore()
  }
}

const isReadable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value

interface Sink {
  /** Resolves when there is room for more. */
  write(chunk: unknown): Promise<unknown>
  close(): Promise<void>
  abort(reason: unknown): Promise<void>
  restore(): void
}

function openWritable(stream: WritableStream): Sink {
  const writer = stream.getWriter()
  return {
    write(chunk) {
      const written = writer.write(chunk)
      // The error it fails with comes by `ready`, too.
      written.catch(() => {})
      return writer.ready
    },
    close: () => writer.close(),
    abort: reason => writer.abort(reason),
    restore: () => writer.releaseLock()
  }
}

function openNodeWritable(object: object): Sink {
  const stream = (object instanceof NodeEnd ? object.stream : object) as NodeWritable
  sent.add(stream)
  let failure: Error | undefined
  const failed = (error: Error) => {
    failure = error
  }
  stream.on('error', failed)
  const settled = (act: (done: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      if (failure) reject(failure)
      else act(error => (error ? reject(error) : resolve()))
    })
  return {
    write: chunk => settled(done => stream.write(chunk, done)),
    close: () => settled(done => stream.end(done)),
    async abort(reason) {
      stream.destroy(reason instanceof Error ? reason : undefined)
    },
    restore() {
      sent.delete(stream)
      stream.off('error', failed)
    }
  }
}

/** What is written here goes home, as an iterator that is read there. Its home is told of the first chunk, not before. */
class Pipe {
  readonly #feed = new Feed()
  #controller!: WritableStreamDefaultController
  #piped: Promise<unknown> | undefined
  #over = false

  constructor(private readonly ref: Ref) {}

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller
    const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal }
    // What is being written then waits no longer to be taken.
    signal.addEventListener('abort', () => this.#feed.fail(signal.reason), { once: true })
  }

  async write(chunk: unknown): Promise<void> {
    const piped = this.#pipe()
    // A home that takes no more says why.
    if (!(await this.#feed.put(chunk))) await piped
  }

  async close(): Promise<void> {
    this.#feed.close()
    await this.#pipe()
  }

  async abort(reason: unknown): Promise<void> {
    try {
      await this.ref.request(Op.drive, 'abort', reason).settled()
    } finally {
      this.#release()
    }
  }

  #pipe(): Promise<unknown> {
    if (!this.#piped) {
      this.#piped = this.ref
        .request(Op.drive, 'pipe', this.#feed)
        .settled()
        .finally(() => this.#release())
      this.#piped.catch(error => this.#fail(error))
    }
    return this.#piped
  }

  #release(): void {
    this.#over = true
    this.ref.session.release(this.ref)
  }

  #fail(error: unknown): void {
    this.#feed.fail(error)
    this.#controller.error(error)
  }

  lost(reason: Error): void {
    if (!this.#over) this.#fail(reason)
  }
}

/** A stream of the peer's that is written here. */
export class ArrivedWritable implements ArrivedFlow {
  readonly #stream: WeakRef<WritableStream>
  /** It lives as long as the stream. */
  readonly #pipe: WeakRef<Pipe>

  constructor(readonly ref: Ref) {
    const pipe = new Pipe(ref)
    this.#pipe = new WeakRef(pipe)
    this.#stream = new WeakRef(new WritableStream(pipe))
  }

  get facade(): object {
    return this.#stream.deref()!
  }

  items(): void {
    throw new ProtocolError('items of a stream to write')
  }

  ended(): void {
    throw new ProtocolError('the end of a stream to write')
  }

  lost(reason: Error): void {
    this.#pipe.deref()?.lost(reason)
  }
}

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
