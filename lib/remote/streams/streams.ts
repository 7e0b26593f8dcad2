// References to streams: iterators, readable and writable streams, promises and abort signals. Each is a reference like
// any other, in the same two tables. This file has the messages that are not calls, and the objects at both ends.

import { markConfidential } from '../../codec/confidential-errors.js'
import { decode, discardReferences } from '../../codec/decode.js'
import { ignoreRejections, rollbackPayload } from '../../codec/dispose.js'
import { encodeValue } from '../../codec/encode.js'
import { type SourceProvider, sourceProviderOf } from '../../codec/iterable-source.js'
import type { Payload, StreamTag } from '../../codec/types.js'
import { CALLER_PROMISE_VALUE, ERROR, PROMISE_VALUE, REASON } from '../../codec/value-role.js'
import {
  CallRejection,
  LimitError,
  ProtocolError,
  type Reason,
  ReleasedError,
  rejectionError,
  SessionEndedError,
  UnsendableError
} from '../../errors.js'
import type { StreamChannel } from '../../protocol/channel.js'
import { NO_BYTES } from '../../protocol/frame.js'
import { formatEnded, Op, type StreamMessage } from '../../protocol/messages.js'
import { describeValue } from '../../util/describe.js'
import type { ReportError } from '../../util/emitter.js'
import { LazyMap } from '../../util/lazy-map.js'
import { runInMicrotask } from '../../util/scheduler.js'
import type { CallOptions } from '../call-options.js'
import { handlerOf, type Reference, type Requester } from '../proxy.js'
import type { ReceivedReferences } from '../received-references.js'
import { IteratorPump } from './local-iterator.js'
import { LocalPromise, LocalSignal, RemoteOutcome, RemotePromise, RemoteSignal } from './promise-signal.js'
import { createReadable, openReadable } from './readable.js'
import { ReadAheadBuffer, RemoteIterator } from './remote-iterator.js'
import {
  type BeforeStreamOperation,
  type LocalStream,
  NOT_A_STREAM,
  type RemoteStream,
  type SessionStreams,
  type StreamPort
} from './types.js'
import { LocalWritable, RemoteWritable } from './writable.js'

/** The netref of each wrapper, and the wrapper of each netref: each keeps the other alive. */
const netrefByWrapper = new WeakMap<object, object>()
const wrapperByNetref = new WeakMap<object, object>()

/** The reference behind an iterator, promise or signal of the peer; undefined for a local one. */
export function referenceOf(object: object): Reference | undefined {
  const netref = netrefByWrapper.get(object)
  return netref && handlerOf(netref)?.reference
}

const NO_DATA: readonly unknown[] = []

export class StreamTable implements StreamPort, SessionStreams {
  readonly #local = new LazyMap<number, LocalStream>()
  readonly #remote = new LazyMap<number, RemoteStream>()
  /** The pumps that have items to send at the end of the tick. */
  readonly #pumpsToFlush = new Set<IteratorPump>()
  /** Ids of local streams whose end is to be sent again: once each, however often the peer asks. */
  readonly #endsToResend = new Set<number>()
  queuedBytes = 0
  retainedBytes = 0
  #ended: Reason | undefined
  /** Asks the `before` hook whether the peer may use a local stream. */
  runBeforeHook: BeforeStreamOperation | undefined
  /** Runs the code that produces items, with the session as the current caller. */
  runProducer!: (run: () => void) => void
  replaceError!: (id: number, error: unknown) => unknown
  /** The calls whose results contained local streams. */
  readonly #origins = new LazyMap<number, string>()

  constructor(
    readonly channel: StreamChannel,
    readonly references: StreamPort['references'],
    readonly session: Requester,
    readonly report: ReportError,
    readonly maxBufferedBytes: number
  ) {}

  // The owner's ends.

  /** Adds the local stream of an exported object. @returns what its encoded reference contains after the name */
  addLocal(kind: StreamTag, id: number, object: object, callerOwned: boolean): readonly unknown[] {
    if (this.#local.has(id)) return NO_DATA
    if (kind !== 'r') {
      this.#local.set(id, this.#createLocal(kind, id, object, callerOwned))
      return NO_DATA
    }
    const opened = openReadable(object, () => this.channel.peerLimits.frameBytes)
    this.#local.set(id, this.#createPump(id, opened))
    return [opened.isByteStream ? 1 : 0]
  }

  #createPump(id: number, provider: SourceProvider): IteratorPump {
    const sendEnd = (ok: boolean, value: unknown) =>
      this.#sendEnd(id, ok, ok ? value : this.replaceError(id, value), false)
    return new IteratorPump(id, provider, this, this.#pumpsToFlush, sendEnd)
  }

  #createLocal(kind: Exclude<StreamTag, 'r'>, id: number, object: object, callerOwned: boolean): LocalStream {
    const sendEnd = (ok: boolean, value: unknown) => this.#sendEnd(id, ok, value, callerOwned)
    const discardOutcome = callerOwned ? ignoreRejections : (value: unknown) => this.references.dispose(value)
    switch (kind) {
      case 'i':
        return this.#createPump(id, sourceProviderOf(object))
      case 'w':
        return new LocalWritable(object)
      case 'p':
        return new LocalPromise(object as PromiseLike<unknown>, sendEnd, discardOutcome, error =>
          this.replaceError(id, error)
        )
      case 'a':
        return new LocalSignal(object as AbortSignal, sendEnd)
    }
  }

  /** Sends the end of a stream. A value that cannot be sent becomes an error. Does not throw. */
  #sendEnd(id: number, ok: boolean, value: unknown, callerOwned: boolean): void {
    const [good, bad] = callerOwned ? [CALLER_PROMISE_VALUE, REASON] : [PROMISE_VALUE, ERROR]
    let payload: Payload | undefined
    try {
      if (value !== undefined) payload = encodeValue(value, ok ? good : bad, this.references)
      this.channel.sendReply(formatEnded(id, ok, payload?.json), payload?.bytes ?? [])
    } catch (error) {
      if (payload) rollbackPayload(payload, this.references)
      const isSendable = error instanceof UnsendableError || error instanceof LimitError
      const reason = isSendable
        ? error
        : new UnsendableError(`it ended with a value that cannot be serialized: ${describeValue(error)}`)
      // Not even the error can be sent: the peer learns only that the stream failed.
      if (value instanceof UnsendableError || value instanceof LimitError)
        this.channel.sendRequiredReply(formatEnded(id, false), NO_BYTES)
      else this.#sendEnd(id, false, reason, callerOwned)
    }
  }

  setOrigin(id: number, call: string): void {
    if (this.#local.has(id)) this.#origins.set(id, call)
  }

  originOf(id: number): string | undefined {
    return this.#origins.get(id)
  }

  /** Whether an exported object is a stream. */
  hasLocal(id: number): boolean {
    return this.#local.has(id)
  }

  /** The reference was not sent. */
  rollback(id: number): void {
    this.#local.get(id)?.rollback?.()
    this.#local.delete(id)
    this.#origins.delete(id)
  }

  resendEnd(id: number): void {
    if (!this.#local.has(id)) return
    if (this.#endsToResend.size === 0) runInMicrotask(this.#resendEnds)
    this.#endsToResend.add(id)
  }

  readonly #resendEnds = (): void => {
    for (const id of this.#endsToResend) {
      const room = this.channel.whenWritable()
      if (room) return void room.then(this.#resendEnds)
      this.#local.get(id)?.resendEnd?.()
      this.#endsToResend.delete(id)
    }
  }

  /** The peer has released the reference, or the session has ended. */
  closeLocal(id: number): void {
    const stream = this.#local.get(id)
    this.#local.delete(id)
    this.#origins.delete(id)
    stream?.close(this.#ended && new SessionEndedError(this.#ended))
  }

  /** @throws CallRejection if there is no such stream, or it does not have the method */
  call(
    id: number,
    object: object,
    method: string,
    value: unknown,
    received: ReceivedReferences | undefined
  ): unknown {
    const stream = this.#local.get(id)
    if (stream?.call) {
      this.runBeforeHook?.('call', object, [method], value === undefined ? [] : [value])
      return stream.call(method, value, received)
    }
    throw new CallRejection('not-exposed', NOT_A_STREAM)
  }

  /** @returns items to be sent before other messages. To be called until it returns undefined. */
  takeItemsMessage(): string | undefined {
    for (const pump of this.#pumpsToFlush) {
      this.#pumpsToFlush.delete(pump)
      const message = pump.takeItems()
      if (message !== undefined) return message
    }
    return undefined
  }

  // The receiver's ends.

  /** Adds the receiver's end of a stream. @returns the object for the user */
  addRemote(
    kind: StreamTag,
    reference: Reference,
    data: readonly unknown[],
    received: ReceivedReferences
  ): object {
    let stream = this.#remote.get(reference.id)
    if (stream?.reference !== reference) {
      stream = this.#createRemote(kind, reference, data)
      this.#remote.set(reference.id, stream)
      if (!(stream instanceof RemoteSignal)) wrapperByNetref.set(reference.proxy, stream.wrapper)
      if (this.#ended) stream.disconnect(new SessionEndedError(this.#ended))
    }
    const { wrapper } = stream
    netrefByWrapper.set(wrapper, reference.proxy)
    if (stream instanceof RemoteOutcome) received.retainOutcome(stream)
    return wrapper
  }

  #createRemote(kind: StreamTag, reference: Reference, data: readonly unknown[]): RemoteStream {
    switch (kind) {
      case 'i':
        return new ReadAheadBuffer(reference, this, buffer => new RemoteIterator(buffer))
      case 'r':
        return new ReadAheadBuffer(reference, this, buffer => createReadable(buffer, data[2] === 1))
      case 'w':
        return new RemoteWritable(reference)
      case 'p':
        return new RemotePromise(reference, this)
      case 'a':
        return new RemoteSignal(reference, this, data)
    }
  }

  /** Applies the options of a call to its result. */
  applyOptions(value: unknown, options: CallOptions): void {
    const reference = typeof value === 'object' && value !== null ? referenceOf(value) : undefined
    const stream = reference && this.#remote.get(reference.id)
    if (stream instanceof ReadAheadBuffer) stream.setOptions(options)
  }

  /** A netref that no user code got is about to be released. */
  onDiscarded(reference: Reference): void {
    const stream = this.#remote.get(reference.id)
    if (stream?.reference === reference) stream.onDiscarded?.()
  }

  /** A netref was released here. */
  onReleased(reference: Reference): void {
    const stream = this.#remote.get(reference.id)
    if (stream?.reference !== reference) return
    this.#remote.delete(reference.id)
    stream.disconnect(
      markConfidential(new ReleasedError('released', `${reference.label} was released`), this.references)
    )
  }

  /** @throws ProtocolError if the message does not fit the stream */
  receive(message: StreamMessage, bytes: readonly Uint8Array[], size: number): void {
    const [op, id] = message
    if (op === Op.pull) return this.#pull(id, message[2], message[3])
    const stream = this.#remote.get(id)
    if (!stream) return discardReferences(message[3], message[4], this.references)
    let value: unknown
    let received: ReceivedReferences | undefined
    try {
      value = decode(message[3], message[4], bytes, this.references)
    } catch (error) {
      if (!(error instanceof CallRejection)) throw error
      const refused = rejectionError(error.code, stream.reference.label, error.message)
      return stream.onEnd(false, markConfidential(refused, this.references))
    } finally {
      received = this.references.takeReceived()
      received?.releaseOutcomes()
    }
    if (op === Op.items) stream.onItems(value as unknown[], message[2] === 1, size, received)
    else stream.onEnd(message[2] === 1, value, size, received)
  }

  #pull(id: number, readItems: number, window: number | undefined): void {
    const stream = this.#local.get(id)
    if (stream?.pull) {
      if (window !== undefined && readItems === 0 && this.runBeforeHook) {
        try {
          this.runBeforeHook('iterate', this.references.exportedObject(id), [], [])
        } catch (error) {
          return this.#sendEnd(id, false, error, false)
        }
      }
      const pull = () => this.runProducer(() => stream.pull!(readItems, window))
      const context = this.references.exportContext(id)
      if (context) context.runIsolated(pull)
      else pull()
    } else if (this.references.isExported(id)) throw new ProtocolError(`a pull on ${id}, which has no items`)
  }

  /** The session has ended after that many sent frames. The owner's ends close when their exports are cleared. */
  end(reason: Reason, framesSent: number): void {
    this.#ended = reason
    const remote = [...this.#remote.values()]
    this.#remote.clear()
    this.#pumpsToFlush.clear()
    this.#endsToResend.clear()
    for (const stream of remote)
      stream.disconnect(new SessionEndedError(reason, undefined, stream.mayHaveRun?.(framesSent)))
  }
}
