// The references of a session: what is given out, what is received, and what is given back.

import { type DisposingSide, dispose } from '../codec/dispose.js'
import { grantOf } from '../codec/grants.js'
import { isLoan } from '../codec/lend.js'
import type { EncodedReference, FlowKind, Giver, ReferenceTag, Taker } from '../codec/types.js'
import { CallRejection, ProtocolError, type Reason } from '../errors.js'
import type { FlowChannel } from '../protocol/channel.js'
import type { Limits } from '../protocol/limits.js'
import { formatRelease, type PeerLimits } from '../protocol/messages.js'
import type { ContextSnapshot } from '../util/contexts.js'
import { className, functionName } from '../util/describe.js'
import { type ReportError, runHook } from '../util/emitter.js'
import { LazyMap } from '../util/lazy-map.js'
import { addCandidate, removeCandidate } from './collection-pressure.js'
import { type Loan, ReceivedReferences } from './delivery.js'
import { type FinalizerToken, handlerOf, Reference, type Requester } from './proxy.js'
import { referenceOf, StreamTable } from './streams/streams.js'
import { type ExportEntry, ExportTable, ImportTable } from './tables.js'

/** Netrefs nobody holds any more, told by the collector. To unregister one would cost each of them half as much again. */
const finalizers = new FinalizationRegistry<FinalizerToken>(({ reference }) =>
  reference?.session.release(reference)
)

/** How many references one message gives back, at most; and how long one is written, with its receipts, at most. */
const MAX_RELEASES_PER_MESSAGE = 4096
const MAX_RELEASE_CHARACTERS = 34
/** What references with a flow are called. */
const STREAM_NAMES: Record<FlowKind, string> = {
  i: 'iterator',
  r: 'stream',
  w: 'stream',
  p: 'promise',
  a: 'signal'
}
/** Of a signal of this side that nobody can abort any more. */
const createInertSignal = () => new AbortController().signal
const isStreamTag = (kind: ReferenceTag): kind is FlowKind => Object.hasOwn(STREAM_NAMES, kind)

/** How much of a peer's name for a netref is kept, to tell of it. */
const MAX_NAME_CHARACTERS = 60

/** A part of a text, as engines make it, keeps the whole of it alive. */
const truncateName = (name: string) =>
  name.length <= MAX_NAME_CHARACTERS ? name : Array.from(name.slice(0, MAX_NAME_CHARACTERS)).join('')

type ReferenceData = readonly [id: number, name: string, ...unknown[]]

/** @throws ProtocolError for what is no reference */
function parseReferenceData(kind: ReferenceTag, data: unknown): ReferenceData {
  const isValid =
    Array.isArray(data) && data[0] >= 0 && Number.isSafeInteger(data[0]) && typeof data[1] === 'string'
  if (!isValid) throw new ProtocolError('a reference without an id and a name')
  if (data[0] === 0 && isStreamTag(kind)) throw new ProtocolError('a root with a flow')
  return data as unknown as ReferenceData
}

export class References implements Giver, Taker, DisposingSide {
  encodeLimits!: Giver['encodeLimits']
  readonly exports: ExportTable
  readonly imports = new ImportTable<object, Reference>()
  readonly streams: StreamTable
  /** Ids and receipts to be given back at the end of the tick. */
  #pendingReleases: number[] = []
  /** How many receipts came for nobody, of netrefs that came for somebody, too. */
  readonly #discardedCounts = new LazyMap<Reference, number>()
  /** What came in the message that is being read. */
  #received: ReceivedReferences | undefined
  /** Whether the session has ended. A user's code may end it in the midst of boxing: nothing is kept from then on. */
  #ended = false

  constructor(
    private readonly session: Requester,
    private readonly exposeStacks: boolean,
    readonly limits: Limits,
    private readonly rootReference: Reference,
    /** Told that there is something to give back, at the end of the tick. */
    private readonly onReleasePending: () => void,
    readonly report: ReportError,
    private readonly channel: FlowChannel
  ) {
    this.exports = new ExportTable(limits.exports)
    this.streams = new StreamTable(channel, this, session, report, limits.bufferedBytes)
    this.setPeerLimits(limits)
  }

  /** The peer has said what it takes; until then it is taken to be as this side. */
  setPeerLimits({ depth, jsonBytes, values }: PeerLimits): void {
    this.encodeLimits = { depth, jsonBytes, values, exposeStacks: this.exposeStacks }
  }

  encodeReference(object: object, self: object | undefined, lent: boolean): EncodedReference {
    const reference = handlerOf(object)?.reference
    if (reference?.session === this.session) return ['h', reference.id]
    // A netref's `this` is at its home: it is the same wherever it is found.
    const { id } = this.exports.addReference(reference?.proxy ?? object, reference ? undefined : self)
    if (this.#ended) this.exports.release(id, 1)
    const isFunction = typeof object === 'function'
    const name = reference ? reference.name : isFunction ? functionName(object) : className(object)
    return [isFunction ? 'f' : 'o', lent ? [id, name, 1] : [id, name]]
  }

  isReleased(object: object): boolean {
    return handlerOf(object)?.reference?.released === true
  }

  /** What was lent comes back: the call that it was lent for is over. */
  endLoans(ids: readonly number[]): void {
    for (const id of ids) if (this.exports.get(id)) this.#onExportRemoved(this.exports.release(id, 1))
  }

  encodeStream(object: object, kind: FlowKind, lent: boolean): EncodedReference {
    // A stream is read and written where it has got to: the original is locked.
    const reference = kind === 'r' || kind === 'w' ? undefined : referenceOf(object)
    if (reference?.session === this.session && !reference.released) return ['h', reference.id]
    const isWeak = kind === 'a'
    const { id } = isWeak
      ? this.exports.addWeakReference(object, createInertSignal)
      : this.exports.addReference(object, undefined)
    let streamData: readonly unknown[]
    try {
      streamData = this.streams.addLocal(kind, id, object, lent)
    } catch (error) {
      // A stream of a class of a user's may not want to be read.
      this.exports.release(id, 1)
      throw error
    }
    if (this.#ended) this.#onExportRemoved(this.exports.release(id, 1))
    return [kind, [id, STREAM_NAMES[kind], ...streamData]]
  }

  /** What a call hands over is used in its context, but for the root, which is there for all. */
  setContext(context: ContextSnapshot, references: readonly EncodedReference[]): void {
    for (const [kind, data] of references) {
      const entry = kind === 'h' ? undefined : this.exports.get((data as [number])[0])
      if (entry && entry.id > 0) entry.context = context
    }
  }

  rollback([kind, data]: EncodedReference): object | undefined {
    if (kind === 'h' || this.#ended) return undefined
    // The peer has not seen it: it is not told of as released.
    const entry = this.exports.release((data as [number])[0], 1)
    if (!entry) return undefined
    this.streams.rollback(entry.id)
    return isStreamTag(kind) ? entry.object : undefined
  }

  dispose(value: unknown): void {
    dispose(value, this)
  }

  mustStayOpen(object: object): boolean {
    return this.exports.has(object) || referenceOf(object)?.session === this.session
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
    const reference = this.#importReference(id, data[1], kind === 'f')
    this.#received ??= new ReceivedReferences(this)
    if (isLoan(kind, data)) this.#received.addLoan(id, reference)
    else if (reference) this.#received.add(reference, firstKey)
    else this.#queueRelease(id, 1)
    if (!reference)
      throw new CallRejection(
        'limit',
        `${this.limits.imports} netrefs are held (limits.imports): release some`
      )
    return isStreamTag(kind) ? this.streams.addRemote(kind, reference, data, this.#received) : reference.proxy
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

  /** What came by reference in the message that was read last, if anything did. */
  takeReceived(): ReceivedReferences | undefined {
    const received = this.#received
    this.#received = undefined
    return received
  }

  /** As long as the netref is anybody's, its home need not know. */
  discardOne(reference: Reference): void {
    if (this.#ended) return
    const discarded = (this.#discardedCounts.get(reference) ?? 0) + 1
    if (discarded < reference.refCount) return this.#discardedCounts.set(reference, discarded)
    this.streams.onDiscarded(reference)
    this.release(reference)
  }

  /** The call is over for which it was lent: if that has no answer to say so, its home is told. */
  endLoan({ id, reference }: Loan, answered: boolean): void {
    if (!answered) this.#queueRelease(id, 1)
    // It may have been let go of before.
    if (!reference || reference.released) return
    reference.lentCount--
    if (--reference.refCount !== (this.#discardedCounts.get(reference) ?? 0)) return
    this.release(reference)
    // The errors of later uses say so.
    reference.lentCount = 1
  }

  valuesDecoded(values: number): void {
    this.channel.countDecodedValues(values)
  }

  /** A netref, which lives as long as this turn at the least; undefined where there is no room. */
  #importReference(id: number, name: string, callable: boolean): Reference | undefined {
    const existing = this.imports.addReference(id)
    if (existing) return existing
    if (this.imports.size >= this.limits.imports) return undefined
    const ref = new Reference(this.session, id, truncateName(name), callable)
    if (this.#ended) return ref
    this.imports.add(ref)
    finalizers.register(ref.proxy, (ref.finalizerToken = { reference: ref }))
    addCandidate(ref)
    return ref
  }

  /** One of our own that came home. */
  #resolveOwn(id: unknown): unknown {
    if (!Number.isSafeInteger(id)) throw new ProtocolError('a reference home without an id')
    const entry = this.exports.get(id as number)
    if (entry) return entry.object
    throw new CallRejection('released', `it refers to #${id}, which was released`)
  }

  /** Gives the receipts of a netref back, once. */
  release(reference: Reference): void {
    if (reference.finalizerToken) reference.finalizerToken.reference = undefined
    removeCandidate(reference)
    this.#discardedCounts.delete(reference)
    const count = this.imports.release(reference)
    this.streams.onReleased(reference)
    if (count > 0) this.#queueRelease(reference.id, count)
  }

  #queueRelease(id: number, count: number): void {
    if (this.#ended) return
    this.#pendingReleases.push(id, count)
    this.onReleasePending()
  }

  /** The peer gives receipts back. */
  handleRelease(idsAndCounts: readonly number[]): void {
    for (let i = 0; i < idsAndCounts.length; i += 2) {
      const id = idsAndCounts[i]!
      const removed = this.exports.release(id, idsAndCounts[i + 1]!)
      if (removed) this.#onExportRemoved(removed)
      else this.streams.resendEnd(id)
    }
  }

  /** A message with what was freed since the last one; to be asked for until there is none. */
  takeReleaseMessage(): string | undefined {
    if (this.#pendingReleases.length === 0) return undefined
    // The peer takes no less than 4 KiB: some of it is for what is around them.
    const maxReleases = Math.floor((this.encodeLimits.jsonBytes - 64) / MAX_RELEASE_CHARACTERS)
    return formatRelease(this.#pendingReleases.splice(0, 2 * Math.min(MAX_RELEASES_PER_MESSAGE, maxReleases)))
  }

  /** The session ended when so many frames had left: nothing is held any more, on either side. */
  clear(reason: Reason, framesSent: number): void {
    this.#ended = true
    this.streams.end(reason, framesSent)
    // What waits for the collector holds the session, which may hold the netref: by its service, or a listener.
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
    if (entry) this.streams.closeLocal(entry.id)
    const released = entry && grantOf(entry.object)?.released
    if (released) runHook(released, this.report)
  }
}
