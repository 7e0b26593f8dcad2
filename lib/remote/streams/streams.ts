// References with a flow of their own: iterators, streams, promises and abort signals. Each is a reference like any
// other, in the same two tables; here is what crosses for it beyond calls, and what stands for it on either side.

import { decode, discardReferences } from '../../codec/decode.js'
import { ignoreRejections, rollbackPayload } from '../../codec/dispose.js'
import { encodeValue } from '../../codec/encode.js'
import { type SourceProvider, sourceProviderOf } from '../../codec/iterable-source.js'
import { markConfidential } from '../../codec/peer-errors.js'
import type { FlowKind, Payload } from '../../codec/types.js'
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
import type { FlowChannel as StreamChannel } from '../../protocol/channel.js'
import { formatEnded, Op, type StreamMessage } from '../../protocol/messages.js'
import { describe } from '../../util/describe.js'
import type { ReportError } from '../../util/emitter.js'
import { LazyMap } from '../../util/lazy-map.js'
import { runInMicrotask } from '../../util/scheduler.js'
import type { CallOptions } from '../call-options.js'
import type { ReceivedReferences } from '../delivery.js'
import { handlerOf, type Reference, type Requester } from '../proxy.js'
import { IteratorPump } from './local-iterator.js'
import { LocalPromise, LocalSignal, RemoteOutcome, RemotePromise, RemoteSignal } from './promise-signal.js'
import { createReadable, openReadable } from './readable.js'
import { ReadAheadBuffer, RemoteIterator } from './remote-iterator.js'
import type {
  Ask,
  HomeFlow as LocalStream,
  ArrivedFlow as RemoteStream,
  FlowPort as StreamPort
} from './types.js'
import { LocalWritable, RemoteWritable } from './writable.js'

/** Netrefs behind what stands for remote things, and the other way: as long as one is held, so is the other. */
const netrefByWrapper = new WeakMap<object, object>()
const wrapperByNetref = new WeakMap<object, object>()

/** The reference that an iterator, promise or signal stands for, if its home is elsewhere. */
export function referenceOf(object: object): Reference | undefined {
  const netref = netrefByWrapper.get(object)
  return netref && handlerOf(netref)?.reference
}

const NO_DATA: readonly unknown[] = []
const NO_BYTES: readonly Uint8Array[] = []

export class StreamTable implements StreamPort {
  readonly #local = new LazyMap<number, LocalStream>()
  readonly #remote = new LazyMap<number, RemoteStream>()
  /** Those that have items to send at the end of the tick. */
  readonly #pumpsToFlush = new Set<IteratorPump>()
  /** Flows of ours that are to tell again how they ended. However often the peer asks for that, each does so once. */
  readonly #endsToResend = new Set<number>()
  queuedBytes = 0
  retainedBytes = 0
  #ended: Reason | undefined
  /** Asks whether the peer may do with a flow of ours what it asks for. */
  runBeforeHook: Ask | undefined
  /** Runs what makes items for the peer: it may ask who that is. */
  runProducer!: (run: () => void) => void

  constructor(
    readonly channel: StreamChannel,
    readonly references: StreamPort['references'],
    readonly session: Requester,
    readonly report: ReportError,
    readonly maxBufferedBytes: number
  ) {}

  // At home.

  /** An object of ours was given, as number `id`, or lent. @returns what is told of it beside that */
  addLocal(kind: FlowKind, id: number, object: object, lent: boolean): readonly unknown[] {
    if (this.#local.has(id)) return NO_DATA
    if (kind !== 'r') {
      this.#local.set(id, this.#createLocal(kind, id, object, lent))
      return NO_DATA
    }
    const opened = openReadable(object, () => this.channel.peerLimits.frameBytes)
    this.#local.set(id, this.#createPump(id, opened))
    return [opened.isByteStream ? 1 : 0]
  }

  #createPump(id: number, provider: SourceProvider): IteratorPump {
    const sendEnd = (ok: boolean, value: unknown) => this.#sendEnd(id, ok, value, false)
    return new IteratorPump(id, provider, this, this.#pumpsToFlush, sendEnd)
  }

  #createLocal(kind: Exclude<FlowKind, 'r'>, id: number, object: object, lent: boolean): LocalStream {
    const sendEnd = (ok: boolean, value: unknown) => this.#sendEnd(id, ok, value, lent)
    const discardOutcome = lent ? ignoreRejections : (value: unknown) => this.references.dispose(value)
    switch (kind) {
      case 'i':
        return this.#createPump(id, sourceProviderOf(object))
      case 'w':
        return new LocalWritable(object)
      case 'p':
        return new LocalPromise(object as PromiseLike<unknown>, sendEnd, discardOutcome)
      case 'a':
        return new LocalSignal(object as AbortSignal, sendEnd)
    }
  }

  /** Says how a flow ended. What cannot be sent is told as an error; never throws. */
  #sendEnd(id: number, ok: boolean, value: unknown, lent: boolean): void {
    const [good, bad] = lent ? ['value', 'reason'] : ['result', 'error']
    let payload: Payload | undefined
    try {
      if (value !== undefined) payload = encodeValue(value, ok ? good : bad, this.references)
      this.channel.sendReply(formatEnded(id, ok, payload?.json), payload?.bytes ?? [])
    } catch (error) {
      if (payload) rollbackPayload(payload, this.references)
      const isSendable = error instanceof UnsendableError || error instanceof LimitError
      const reason = isSendable
        ? error
        : new UnsendableError(`it ended with what cannot be sent: ${describe(error)}`)
      // Where not even that can be sent, it is told that it failed, and not why.
      if (value instanceof UnsendableError || value instanceof LimitError)
        this.channel.sendRequiredReply(formatEnded(id, false), NO_BYTES)
      else this.#sendEnd(id, false, reason, lent)
    }
  }

  /** Whether a reference of ours was given with a flow. */
  hasLocal(id: number): boolean {
    return this.#local.has(id)
  }

  /** A reference was not sent after all, and nothing else of it was. */
  rollback(id: number): void {
    this.#local.get(id)?.rollback?.()
    this.#local.delete(id)
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

  /** The peer has let go of a reference of ours, or the session has ended. */
  closeLocal(id: number): void {
    const stream = this.#local.get(id)
    this.#local.delete(id)
    stream?.close(this.#ended && new SessionEndedError(this.#ended))
  }

  /** @throws Refusal when there is no flow, or it does not offer that */
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
    throw new CallRejection('not-exposed', 'it is no iterator or stream')
  }

  /** Items that are to be sent before anything else is; to be asked for until there are none. */
  takeItemsMessage(): string | undefined {
    for (const pump of this.#pumpsToFlush) {
      this.#pumpsToFlush.delete(pump)
      const message = pump.takeItems()
      if (message !== undefined) return message
    }
    return undefined
  }

  // What has arrived.

  /** What stands for a reference with a flow that has arrived. */
  addRemote(
    kind: FlowKind,
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

  #createRemote(kind: FlowKind, reference: Reference, data: readonly unknown[]): RemoteStream {
    switch (kind) {
      case 'i':
        return new ReadAheadBuffer(reference, this, inflow => new RemoteIterator(inflow))
      case 'r':
        return new ReadAheadBuffer(reference, this, inflow => createReadable(inflow, data[2] === 1))
      case 'w':
        return new RemoteWritable(reference)
      case 'p':
        return new RemotePromise(reference, this)
      case 'a':
        return new RemoteSignal(reference, this, data)
    }
  }

  /** A value came as the answer to a call with options. */
  applyOptions(value: unknown, options: CallOptions): void {
    const reference = typeof value === 'object' && value !== null ? referenceOf(value) : undefined
    const stream = reference && this.#remote.get(reference.id)
    if (stream instanceof ReadAheadBuffer) stream.setOptions(options)
  }

  /** A netref is about to be released that nobody ever had. */
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

  /** @throws ProtocolError when the message does not go with what it is about */
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

  /** The session has ended when so many frames had left. What stands at home ends as its references are given up. */
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
