// The references of a session: exported objects, imported netrefs, and their reference counts.

import { type DisposingSide, dispose } from '../codec/dispose.js'
import { grantOf } from '../codec/grants.js'
import { isLoan, LENT } from '../codec/lend.js'
import { IMPORT_STREAMS, STREAM_NAMES, streamLabel } from '../codec/stream-kinds.js'
import {
  ANSWER_TAG,
  type EncodedReference,
  type ReferenceDecoder,
  type ReferenceEncoder,
  type ReferenceTag,
  type StreamTag
} from '../codec/types.js'
import { CallRejection, ProtocolError, type Reason } from '../errors.js'
import type { StreamChannel } from '../protocol/channel.js'
import type { Limits } from '../protocol/limits.js'
import { formatRelease, Op, type PeerLimits } from '../protocol/messages.js'
import type { ContextSnapshot } from '../util/async-context.js'
import { className, functionName } from '../util/describe.js'
import { type ReportError, runHook } from '../util/emitter.js'
import { LazyMap } from '../util/lazy-map.js'
import { addCandidate, removeCandidate } from './collection-pressure.js'
import type { PendingResult } from './pending-result.js'
import { type FinalizerToken, handlerOf, Reference, type Requester } from './proxy.js'
import { type Loan, ReceivedReferences } from './received-references.js'
import { streamReferenceOf, streamSupport } from './streams/registry.js'
import type { SessionStreams } from './streams/types.js'
import { type ExportEntry, ExportTable, ImportTable } from './tables.js'

/** Releases netrefs that were collected. Unregistering each would add half of its cost. */
const finalizers = new FinalizationRegistry<FinalizerToken>(({ reference }) =>
  reference?.session.release(reference)
)

/** Maximum number of references in one release message, and maximum length of one entry with its count. */
const MAX_RELEASES_PER_MESSAGE = 4096
const MAX_RELEASE_CHARACTERS = 34
/** Replaces a collected signal, which no code can abort any more. */
const createInertSignal = () => new AbortController().signal
const isStreamTag = (kind: EncodedReference[0]): kind is StreamTag => Object.hasOwn(STREAM_NAMES, kind)

/** Whether a reference is to what the receiver has: it is in no table of this side. */
const isReceivers = (kind: EncodedReference[0]): boolean => kind === 'h' || kind === ANSWER_TAG

/** Maximum length of a peer's name for a netref, which error texts show. */
const MAX_NAME_CHARACTERS = 60

/** `slice` alone would keep the whole string alive: engines share its memory. */
const truncateName = (name: string) =>
  name.length <= MAX_NAME_CHARACTERS ? name : Array.from(name.slice(0, MAX_NAME_CHARACTERS)).join('')

/** What the owner says of a reference to a subscription, where it says `LENT` of others. */
const SUBSCRIPTION = 2

type ReferenceData = readonly [id: number, name: string, ...unknown[]]

/** @throws ProtocolError for invalid data */
function parseReferenceData(kind: ReferenceTag, data: unknown): ReferenceData {
  const isValid =
    Array.isArray(data) && data[0] >= 0 && Number.isSafeInteger(data[0]) && typeof data[1] === 'string'
  if (!isValid) throw new ProtocolError('a reference without an id and a name')
  if (data[0] === 0 && isStreamTag(kind)) throw new ProtocolError('a root that is a stream')
  return data as unknown as ReferenceData
}

export class References implements ReferenceEncoder, ReferenceDecoder, DisposingSide {
  encodeLimits!: ReferenceEncoder['encodeLimits']
  readonly exports: ExportTable
  readonly imports = new ImportTable<object, Reference>()
  /** Undefined in a program without streams. */
  readonly streams: SessionStreams | undefined
  /** Pairs of id and count, to be released at the end of the tick. */
  #pendingReleases: number[] = []
  /** Numbers of references that no user code got, of netrefs that user code has. */
  readonly #discardedCounts = new LazyMap<Reference, number>()
  /** The references of the message that is being decoded. */
  #received: ReceivedReferences | undefined
  /**
   * Whether the session has ended. User code that runs during encoding may end it: nothing is exported from then on.
   */
  #ended = false

  constructor(
    private readonly session: Requester,
    private readonly exposeStacks: boolean,
    readonly limits: Limits,
    private readonly rootReference: Reference,
    /** Called when references are to be released at the end of the tick. */
    private readonly onReleasePending: () => void,
    readonly report: ReportError,
    private readonly channel: StreamChannel
  ) {
    this.exports = new ExportTable(limits.exports)
    this.streams = streamSupport()?.createTable(channel, this, session, report, limits.bufferedBytes)
    this.setPeerLimits(limits)
  }

  /** Sets the limits that the peer sent. Before that, the local limits apply to it. */
  setPeerLimits({ depth, jsonBytes, values }: PeerLimits): void {
    this.encodeLimits = { depth, jsonBytes, values, exposeStacks: this.exposeStacks }
  }

  encodeReference(object: object, self: object | undefined, lent: boolean): EncodedReference {
    const reference = handlerOf(object)?.reference
    if (reference?.session === this.session) return ['h', reference.id]
    // A method of a netref is bound at its owner: it is the same function wherever it is found.
    const { id } = this.exports.addReference(reference?.proxy ?? object, reference ? undefined : self)
    if (this.#ended) this.exports.release(id, 1)
    const isFunction = typeof object === 'function'
    const name = reference ? reference.name : isFunction ? functionName(object) : className(object)
    if (lent) return [isFunction ? 'f' : 'o', [id, name, LENT]]
    if (isFunction) return ['f', [id, name]]
    return ['o', grantOf(object)?.isSubscription ? [id, name, SUBSCRIPTION] : [id, name]]
  }

  encodeAnswer(pending: object): EncodedReference | { readonly value: unknown } | undefined {
    const handler = handlerOf(pending)
    if (handler?.base.session !== this.session) return undefined
    const { base, path, options } = handler
    const result = (
      path.length === 0 ? base : base.request(Op.get, path, undefined, options)
    ) as PendingResult
    // A path on a result that has arrived may lead to another session.
    if (result.session !== this.session) return { value: result.proxy }
    const passed = result.passOn()
    return typeof passed === 'number' ? [ANSWER_TAG, passed] : passed
  }

  isReleased(object: object): boolean {
    return handlerOf(object)?.reference?.released === true
  }

  /** Releases references that were lent for a call which has ended. */
  endLoans(ids: readonly number[]): void {
    for (const id of ids) if (this.exports.get(id)) this.#onExportRemoved(this.exports.release(id, 1))
  }

  encodeStream(object: object, kind: StreamTag, callerOwned: boolean): EncodedReference | undefined {
    if (!this.streams) return undefined
    // A stream continues where reading or writing has stopped: the original is locked.
    const reference = kind === 'r' || kind === 'w' ? undefined : streamReferenceOf(object)
    if (reference?.session === this.session && !reference.released) return ['h', reference.id]
    const isWeak = kind === 'a'
    const { id } = isWeak
      ? this.exports.addWeakReference(object, createInertSignal)
      : this.exports.addReference(object, undefined)
    let streamData: readonly unknown[]
    try {
      streamData = this.streams.addLocal(kind, id, object, callerOwned)
    } catch (error) {
      // A user-defined stream class may refuse to be read.
      this.exports.release(id, 1)
      throw error
    }
    if (this.#ended) this.#onExportRemoved(this.exports.release(id, 1))
    return [kind, [id, STREAM_NAMES[kind], ...streamData]]
  }

  /** Assigns a call's context to the objects that it passes, except the root, which all calls share. */
  setContext(context: ContextSnapshot, references: readonly EncodedReference[]): void {
    for (const [kind, data] of references) {
      const entry = isReceivers(kind) ? undefined : this.exports.get((data as [number])[0])
      if (entry && entry.id > 0) entry.context = context
    }
  }

  rollback([kind, data]: EncodedReference): object | undefined {
    if (isReceivers(kind) || this.#ended) return undefined
    // The peer has not seen it, so `released` hooks do not run.
    const entry = this.exports.release((data as [number])[0], 1)
    if (!entry) return undefined
    this.streams?.rollback(entry.id)
    return isStreamTag(kind) ? entry.object : undefined
  }

  dispose(value: unknown): void {
    dispose(value, this)
  }

  mustStayOpen(object: object): boolean {
    return this.exports.has(object) || streamReferenceOf(object)?.session === this.session
  }

  isExported(id: number): boolean {
    return this.exports.get(id) !== undefined
  }

  exportedObject(id: number): object {
    return this.exports.get(id)!.object
  }

  exportContext(id: number): ContextSnapshot | undefined {
    return this.exports.get(id)!.context
  }

  decodeReference(kind: ReferenceTag, rawData: unknown, firstKey?: unknown): unknown {
    if (kind === 'h') return this.#resolveOwn(rawData)
    const data = parseReferenceData(kind, rawData)
    const id = data[0]
    if (id === 0) return this.rootReference.proxy
    const { streams } = this
    if (!streams && isStreamTag(kind)) {
      this.discardReference(kind, rawData)
      throw new CallRejection('unreadable', `cannot read ${streamLabel(kind)}: ${IMPORT_STREAMS}`)
    }
    const reference = this.#importReference(id, data[1], kind === 'f')
    this.#received ??= new ReceivedReferences(this)
    if (reference && data[2] === SUBSCRIPTION) reference.isSubscription = true
    if (isLoan(kind, data)) this.#received.addLoan(id, reference)
    else if (reference) this.#received.add(reference, firstKey)
    else this.#queueRelease(id, 1)
    if (!reference)
      throw new CallRejection(
        'limit',
        `${this.limits.imports} netrefs are held (limits.imports): release some`
      )
    return isStreamTag(kind) ? streams!.addRemote(kind, reference, data, this.#received) : reference.proxy
  }

  discardReference(kind: ReferenceTag, rawData: unknown): void {
    if (kind === 'h') return
    const data = parseReferenceData(kind, rawData)
    const id = data[0]
    if (id === 0) return
    if (isLoan(kind, data)) {
      this.#received ??= new ReceivedReferences(this)
      return this.#received.addLoan(id, undefined)
    }
    const reference = this.imports.addReference(id)
    if (reference) this.discardOne(reference)
    else this.#queueRelease(id, 1)
  }

  discardReceived(): void {
    this.#received?.discard()
  }

  /** The references of the message that was decoded last; undefined if it had none. */
  takeReceived(): ReceivedReferences | undefined {
    const received = this.#received
    this.#received = undefined
    return received
  }

  /** While user code has the netref, its owner need not know. */
  discardOne(reference: Reference): void {
    if (this.#ended) return
    const discarded = (this.#discardedCounts.get(reference) ?? 0) + 1
    if (discarded < reference.refCount) return this.#discardedCounts.set(reference, discarded)
    this.streams?.onDiscarded(reference)
    this.release(reference)
  }

  /** The call that it was lent for has ended. Without a reply, the owner must be notified. */
  endLoan({ id, reference }: Loan, answered: boolean): void {
    if (!answered) this.#queueRelease(id, 1)
    // It may be released already.
    if (!reference || reference.released) return
    reference.lentCount--
    if (--reference.refCount !== (this.#discardedCounts.get(reference) ?? 0)) return
    this.release(reference)
    // Errors of later uses name the loan.
    reference.lentCount = 1
  }

  valuesDecoded(values: number): void {
    this.channel.countDecodedValues(values)
  }

  /** @returns a netref, alive at least until the end of this task; undefined if the table is full */
  #importReference(id: number, name: string, callable: boolean): Reference | undefined {
    const existing = this.imports.addReference(id)
    if (existing) return existing
    if (this.imports.size >= this.limits.imports) return undefined
    const reference = new Reference(this.session, id, truncateName(name), callable)
    if (this.#ended) return reference
    this.imports.add(reference)
    finalizers.register(reference.proxy, (reference.finalizerToken = { reference }))
    addCandidate(reference)
    return reference
  }

  /** A local object that the peer sent back. */
  #resolveOwn(id: unknown): unknown {
    if (!Number.isSafeInteger(id)) throw new ProtocolError('a local reference without an id')
    const entry = this.exports.get(id as number)
    if (entry) return entry.object
    throw new CallRejection('released', `it refers to #${id}, which was released`)
  }

  /** Releases all references of a netref, once. */
  release(reference: Reference): void {
    if (reference.finalizerToken) reference.finalizerToken.reference = undefined
    removeCandidate(reference)
    this.#discardedCounts.delete(reference)
    const count = this.imports.release(reference)
    this.streams?.onReleased(reference)
    if (count > 0) this.#queueRelease(reference.id, count)
  }

  #queueRelease(id: number, count: number): void {
    if (this.#ended) return
    this.#pendingReleases.push(id, count)
    this.onReleasePending()
  }

  /** The peer releases references. */
  handleRelease(idsAndCounts: readonly number[]): void {
    for (let i = 0; i < idsAndCounts.length; i += 2) {
      const id = idsAndCounts[i]!
      const removed = this.exports.release(id, idsAndCounts[i + 1]!)
      if (removed) this.#onExportRemoved(removed)
      else this.streams?.resendEnd(id)
    }
  }

  /** A message with the pending releases. To be called until it returns undefined. */
  takeReleaseMessage(): string | undefined {
    if (this.#pendingReleases.length === 0) return undefined
    // The peer accepts at least 4 KiB. 64 bytes are for the rest of the message.
    const maxReleases = Math.floor((this.encodeLimits.jsonBytes - 64) / MAX_RELEASE_CHARACTERS)
    return formatRelease(this.#pendingReleases.splice(0, 2 * Math.min(MAX_RELEASES_PER_MESSAGE, maxReleases)))
  }

  /** The session has ended after that many sent frames: both tables are cleared. */
  clear(reason: Reason, framesSent: number): void {
    this.#ended = true
    this.streams?.end(reason, framesSent)
    // The finalizer's held value holds the session, which may hold the netref through its service or a listener.
    for (const reference of this.imports) {
      reference.finalizerToken!.reference = undefined
      removeCandidate(reference)
    }
    this.imports.clear()
    this.#discardedCounts.clear()
    this.#pendingReleases = []
    for (const entry of this.exports.clear()) this.#onExportRemoved(entry)
  }

  #onExportRemoved(entry: ExportEntry | undefined): void {
    if (entry) this.streams?.closeLocal(entry.id)
    const released = entry && grantOf(entry.object)?.released
    if (released) runHook(released, this.report)
  }
}
