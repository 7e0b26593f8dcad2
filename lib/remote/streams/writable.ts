// Streams to write: written at home, and what stands for them on the other side.

import { ignoreRejections } from '../../codec/dispose.js'
import {
  isWebWritable,
  NodeStreamEnd,
  type NodeWritableLike,
  sentNodeStreams
} from '../../codec/stream-kinds.js'
import { CallRejection, ProtocolError, SessionEndedError } from '../../errors.js'
import { Op } from '../../protocol/messages.js'
import { AsyncQueue } from '../../util/async-queue.js'
import { WritableStream } from '../../util/platform.js'
import { isInstanceOf } from '../../util/realms.js'
import type { ReceivedReferences } from '../delivery.js'
import type { Reference } from '../proxy.js'
import { RemoteIterator } from './remote-iterator.js'
import type { ArrivedFlow, HomeFlow } from './types.js'

/** A stream of this side that the other side writes: it sends an iterator, which is read here. */
export class LocalWritable implements HomeFlow {
  readonly #sink: Sink
  #isPiped = false
  /** Nothing is to be written any more, or it was aborted. */
  #isOver = false

  constructor(stream: object) {
    this.#sink = isWebWritable(stream) ? openWebWritable(stream) : openNodeWritable(stream)
  }

  async call(method: string, value: unknown, received: ReceivedReferences | undefined): Promise<void> {
    // Nothing else: it might be an object of this side, which the other one may not read.
    if (method === 'pipe' && value instanceof RemoteIterator && !this.#isPiped)
      return this.#pipe(RemoteIterator.allowReadAhead(value))
    if (method !== 'abort') throw new CallRejection('not-exposed', 'a stream to write takes one iterator')
    received?.markPassedToUser()
    // At once, also while a chunk is being written.
    await this.#abort(value)
  }

  async #pipe(source: AsyncIterable<unknown>): Promise<void> {
    this.#isPiped = true
    try {
      for await (const chunk of source) await this.#sink.write(chunk)
    } catch (error) {
      await this.#abort(error)
      throw error
    }
    this.#isOver = true
    await this.#sink.close()
  }

  close(reason: Error = new DOMException('the other side has let go of it', 'AbortError')): void {
    if (!this.#isOver) this.#abort(reason).catch(() => {})
  }

  #abort(reason: unknown): Promise<void> {
    this.#isPiped = this.#isOver = true
    return this.#sink.abort(reason)
  }

  rollback(): void {
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

function openWebWritable(stream: WritableStream): Sink {
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
  const stream = (object instanceof NodeStreamEnd ? object.stream : object) as NodeWritableLike
  sentNodeStreams.add(stream)
  let failure: Error | undefined
  let rejectPending: ((error: Error) => void) | undefined
  const onError = (error: Error) => {
    failure ??= error
    rejectPending?.(failure)
  }
  // A response whose client has left says this alone.
  const onClose = () => onError(new Error('the stream has closed, and takes nothing more'))
  stream.on('error', onError)
  stream.on('close', onClose)
  const untilDone = (act: (done: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      rejectPending = reject
      if (failure) reject(failure)
      else act(error => (error ? reject(error) : resolve()))
    })
  return {
    write: chunk => untilDone(done => stream.write(chunk, done)),
    close: () => untilDone(done => stream.end(done)),
    async abort(reason) {
      stream.destroy(isInstanceOf('Error', reason) ? reason : undefined)
    },
    restore() {
      sentNodeStreams.delete(stream)
      stream.off('error', onError)
      stream.off('close', onClose)
    }
  }
}

/** What is written here goes home, as an iterator that is read there. Its home is told of the first chunk, not before. */
class PipeSink {
  readonly #queue = new AsyncQueue(ignoreRejections)
  #controller!: WritableStreamDefaultController
  #pipeResult: Promise<unknown> | undefined
  #isReleased = false

  constructor(private readonly reference: Reference) {}

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller
    const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal }
    // What is being written then waits no longer to be taken.
    signal.addEventListener('abort', () => this.#queue.fail(signal.reason), { once: true })
  }

  async write(chunk: unknown): Promise<void> {
    const piped = this.#pipe()
    // A home that takes no more says why.
    if (!(await this.#queue.put(chunk))) await piped
  }

  async close(): Promise<void> {
    this.#queue.close()
    await this.#pipe()
  }

  async abort(reason: unknown): Promise<void> {
    try {
      const { reference } = this
      await reference.session.unlessDisconnected(
        reference.request(Op.streamCall, 'abort', reason).settled(),
        undefined
      )
    } finally {
      this.#release()
    }
  }

  #pipe(): Promise<unknown> {
    if (!this.#pipeResult) {
      this.#pipeResult = this.reference
        .request(Op.streamCall, 'pipe', this.#queue)
        .settled()
        .finally(() => this.#release())
      this.#pipeResult.catch(error => this.#error(error))
    }
    return this.#pipeResult
  }

  #release(): void {
    this.#isReleased = true
    this.reference.session.release(this.reference)
  }

  #error(error: unknown): void {
    this.#queue.fail(error)
    this.#controller.error(error)
  }

  /** Where it is written, what was asked of its home fails with the session, and says whether that had left. */
  disconnect(reason: Error): void {
    const isReported = this.#pipeResult !== undefined && reason instanceof SessionEndedError
    if (!this.#isReleased && !isReported) this.#error(reason)
  }
}

/** A stream of the peer's that is written here. */
export class RemoteWritable implements ArrivedFlow {
  readonly #weakStream: WeakRef<WritableStream>
  /** It lives as long as the stream. */
  readonly #weakSink: WeakRef<PipeSink>

  constructor(readonly reference: Reference) {
    const pipe = new PipeSink(reference)
    this.#weakSink = new WeakRef(pipe)
    this.#weakStream = new WeakRef(new WritableStream(pipe))
  }

  get wrapper(): object {
    return this.#weakStream.deref()!
  }

  onItems(): void {
    throw new ProtocolError('items of a stream to write')
  }

  onEnd(): void {
    throw new ProtocolError('the end of a stream to write')
  }

  disconnect(reason: Error): void {
    this.#weakSink.deref()?.disconnect(reason)
  }
}
