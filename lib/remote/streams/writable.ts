// Writable streams by reference: the sink at the owner, and the stream that the receiver writes.

import { ignoreRejections } from '../../codec/dispose.js'
import { borrowingIterators } from '../../codec/iterable-source.js'
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
import type { Reference } from '../proxy.js'
import type { ReceivedReferences } from '../received-references.js'
import { RemoteIterator } from './remote-iterator.js'
import type { LocalStream, RemoteStream } from './types.js'

/** A local stream that the peer writes: the peer sends an iterator, which is read here. */
export class LocalWritable implements LocalStream {
  readonly #sink: Sink
  /** `unused`: no chunk has arrived. `piping`: chunks are written. `ended`: the stream is closed or aborted. */
  #state: 'unused' | 'piping' | 'ended' = 'unused'

  constructor(stream: object) {
    this.#sink = isWebWritable(stream) ? openWebWritable(stream) : openNodeWritable(stream)
  }

  async call(method: string, value: unknown, received: ReceivedReferences | undefined): Promise<void> {
    // No other value: a local object may be one that the peer must not read.
    if (method === 'pipe' && value instanceof RemoteIterator && this.#state === 'unused')
      return this.#pipe(RemoteIterator.allowReadAhead(value))
    if (method !== 'abort') throw new CallRejection('not-exposed', 'a writable stream takes one iterator')
    received?.markPassedToUser()
    // Immediately, also while a chunk is being written.
    await this.#abort(value)
  }

  async #pipe(source: AsyncIterable<unknown>): Promise<void> {
    this.#state = 'piping'
    try {
      for await (const chunk of source) await this.#sink.write(chunk)
    } catch (error) {
      await this.#abort(error)
      throw error
    }
    this.#state = 'ended'
    await this.#sink.close()
  }

  close(reason: Error = new DOMException('the peer has released the stream', 'AbortError')): void {
    if (this.#state !== 'ended') this.#abort(reason).catch(() => {})
  }

  #abort(reason: unknown): Promise<void> {
    this.#state = 'ended'
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
      // `ready` rejects with the same error.
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
  // A response whose client has left emits `close` only.
  const onClose = () => onError(new Error('the stream is closed'))
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

/**
 * The sink of a stream whose chunks go to the owner, which reads them as an iterator. Nothing is sent before the first
 * chunk.
 */
class PipeSink {
  readonly #queue = new AsyncQueue(ignoreRejections)
  #controller!: WritableStreamDefaultController
  #pipeResult: Promise<unknown> | undefined
  #isReleased = false

  constructor(private readonly reference: Reference) {
    borrowingIterators.add(this.#queue)
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller
    const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal }
    // A pending write does not wait for the reader any more.
    signal.addEventListener('abort', () => this.#queue.fail(signal.reason), { once: true })
  }

  async write(chunk: unknown): Promise<void> {
    const piped = this.#pipe()
    // An owner that takes no more chunks sends the reason.
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

  /** A pipe that has started fails with its own call, whose error says whether it was sent. */
  disconnect(reason: Error): void {
    const isReported = this.#pipeResult !== undefined && reason instanceof SessionEndedError
    if (!this.#isReleased && !isReported) this.#error(reason)
  }
}

/** A remote stream that is written here. */
export class RemoteWritable implements RemoteStream {
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
    throw new ProtocolError('items for a writable stream')
  }

  onEnd(): void {
    throw new ProtocolError('an end for a writable stream')
  }

  disconnect(reason: Error): void {
    this.#weakSink.deref()?.disconnect(reason)
  }
}
