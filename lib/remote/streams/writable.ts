// Streams to write: written at home, and what stands for them on the other side.

import { silenceAll } from '../../codec/dispose.js'
import { isWebWritable, NodeEnd, type NodeWritable, sent } from '../../codec/stream-kinds.js'
import { ProtocolError, Refusal, SessionEndedError } from '../../errors.js'
import { Op } from '../../protocol/messages.js'
import { Feed } from '../../util/async-queue.js'
import { WritableStream } from '../../util/platform.js'
import { isA } from '../../util/realms.js'
import type { Delivery } from '../delivery.js'
import type { Ref } from '../proxy.js'
import { RemoteIterator } from './remote-iterator.js'
import type { ArrivedFlow, HomeFlow } from './types.js'

/** A stream of this side that the other side writes: it sends an iterator, which is read here. */
export class HomeWritable implements HomeFlow {
  readonly #sink: Sink
  #piped = false
  /** Nothing is to be written any more, or it was aborted. */
  #over = false

  constructor(stream: object) {
    this.#sink = isWebWritable(stream) ? openWritable(stream) : openNodeWritable(stream)
  }

  async drive(method: string, given: unknown, delivery: Delivery | undefined): Promise<void> {
    // Nothing else: it might be an object of this side, which the other one may not read.
    if (method === 'pipe' && given instanceof RemoteIterator && !this.#piped)
      return this.#pipe(RemoteIterator.ahead(given))
    if (method !== 'abort') throw new Refusal('not-exposed', 'a stream to write takes one iterator')
    delivery?.handOver()
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
  let giveUp: ((error: Error) => void) | undefined
  const failed = (error: Error) => {
    failure ??= error
    giveUp?.(failure)
  }
  // A response whose client has left says this alone.
  const closed = () => failed(new Error('the stream has closed, and takes nothing more'))
  stream.on('error', failed)
  stream.on('close', closed)
  const settled = (act: (done: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      giveUp = reject
      if (failure) reject(failure)
      else act(error => (error ? reject(error) : resolve()))
    })
  return {
    write: chunk => settled(done => stream.write(chunk, done)),
    close: () => settled(done => stream.end(done)),
    async abort(reason) {
      stream.destroy(isA('Error', reason) ? reason : undefined)
    },
    restore() {
      sent.delete(stream)
      stream.off('error', failed)
      stream.off('close', closed)
    }
  }
}

/** What is written here goes home, as an iterator that is read there. Its home is told of the first chunk, not before. */
class Pipe {
  readonly #feed = new Feed(silenceAll)
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
      const { ref } = this
      await ref.session.unlessAway(ref.request(Op.drive, 'abort', reason).settled(), undefined)
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

  /** Where it is written, what was asked of its home fails with the session, and says whether that had left. */
  lost(reason: Error): void {
    const isTold = this.#piped !== undefined && reason instanceof SessionEndedError
    if (!this.#over && !isTold) this.#fail(reason)
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
