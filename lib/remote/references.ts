// The references of a session: what is given out, what is received, and what is given back.

import { type Home, letGo } from '../codec/dispose.js'
import { grantOf } from '../codec/grants.js'
import { isLoan } from '../codec/lend.js'
import type { FlowKind, Given, Giver, ReferenceKind, Taker } from '../codec/types.js'
import { ProtocolError, type Reason, Refusal } from '../errors.js'
import type { FlowChannel } from '../protocol/channel.js'
import type { Limits } from '../protocol/limits.js'
import { formatRelease, type PeerLimits } from '../protocol/messages.js'
import type { Context } from '../util/contexts.js'
import { className, functionName } from '../util/describe.js'
import { attempt, type Report } from '../util/emitter.js'
import { SparseMap } from '../util/lazy-map.js'
import { loosen, tighten } from './collection-pressure.js'
import { Delivery, type Loan } from './delivery.js'
import { Ref, type Requester, stateOf, type Watch } from './proxy.js'
import { Flows, refBehind } from './streams/streams.js'
import { type Export, ExportTable, ImportTable } from './tables.js'

/** Netrefs nobody holds any more, told by the collector. To unregister one would cost each of them half as much again. */
const collected = new FinalizationRegistry<Watch>(({ ref }) => ref?.session.release(ref))

/** How many references one message gives back, at most; and how long one is written, with its receipts, at most. */
const RELEASES = 4096
const RELEASE_LENGTH = 34
/** What references with a flow are called. */
const FLOWS: Record<FlowKind, string> = {
  i: 'iterator',
  r: 'stream',
  w: 'stream',
  p: 'promise',
  a: 'signal'
}
/** Of a signal of this side that nobody can abort any more. */
const neverAborts = () => new AbortController().signal
const isFlow = (kind: ReferenceKind): kind is FlowKind => Object.hasOwn(FLOWS, kind)

/** How much of a peer's name for a netref is kept, to tell of it. */
const NAME_LENGTH = 60

/** A part of a text, as engines make it, keeps the whole of it alive. */
const shortened = (name: string) =>
  name.length <= NAME_LENGTH ? name : Array.from(name.slice(0, NAME_LENGTH)).join('')

type Told = readonly [id: number, name: string, ...unknown[]]

/** @throws ProtocolError for what is no reference */
function told(kind: ReferenceKind, data: unknown): Told {
  const isTold =
    Array.isArray(data) && data[0] >= 0 && Number.isSafeInteger(data[0]) && typeof data[1] === 'string'
  if (!isTold) throw new ProtocolError('a reference without an id and a name')
  if (data[0] === 0 && isFlow(kind)) throw new ProtocolError('a root with a flow')
  return data as unknown as Told
}

export class References implements Giver, Taker, Home {
  boxing!: Giver['boxing']
  readonly exports: ExportTable
  readonly imports = new ImportTable<object, Ref>()
  readonly flows: Flows
  /** Ids and receipts to be given back at the end of the tick. */
  #freed: number[] = []
  /** How many receipts came for nobody, of netrefs that came for somebody, too. */
  readonly #unwanted = new SparseMap<Ref, number>()
  /** What came in the message that is being read. */
  #delivery: Delivery | undefined
  /** Whether the session has ended. A user's code may end it in the midst of boxing: nothing is kept from then on. */
  #ended = false

  constructor(
    private readonly session: Requester,
    private readonly exposeStacks: boolean,
    readonly limits: Limits,
    private readonly rootRef: Ref,
    /** Told that there is something to give back, at the end of the tick. */
    private readonly freeing: () => void,
    readonly report: Report,
    private readonly channel: FlowChannel
  ) {
    this.exports = new ExportTable(limits.exports)
    this.flows = new Flows(channel, this, session, report, limits.bufferedBytes)
    this.learn(limits)
  }

  /** The peer has said what it takes; until then it is taken to be as this side. */
  learn({ depth, jsonBytes, values }: PeerLimits): void {
    this.boxing = { depth, jsonBytes, values, exposeStacks: this.exposeStacks }
  }

  give(object: object, self: object | undefined, lent: boolean): Given {
    const ref = stateOf(object)?.ref
    if (ref?.session === this.session) return ['h', ref.id]
    // A netref's `this` is at its home: it is the same wherever it is found.
    const { id } = this.exports.give(ref?.proxy ?? object, ref ? undefined : self)
    if (this.#ended) this.exports.release(id, 1)
    const isFunction = typeof object === 'function'
    const name = ref ? ref.name : isFunction ? functionName(object) : className(object)
    return [isFunction ? 'f' : 'o', lent ? [id, name, 1] : [id, name]]
  }

  isReleased(object: object): boolean {
    return stateOf(object)?.ref?.released === true
  }

  /** What was lent comes back: the call that it was lent for is over. */
  comeBack(ids: readonly number[]): void {
    for (const id of ids) if (this.exports.get(id)) this.#gone(this.exports.release(id, 1))
  }

  giveFlow(object: object, kind: FlowKind, lent: boolean): Given {
    // A stream is read and written where it has got to: the original is locked.
    const ref = kind === 'r' || kind === 'w' ? undefined : refBehind(object)
    if (ref?.session === this.session && !ref.released) return ['h', ref.id]
    const weakly = kind === 'a'
    const { id } = weakly
      ? this.exports.giveWeakly(object, neverAborts)
      : this.exports.give(object, undefined)
    let told: readonly unknown[]
    try {
      told = this.flows.give(kind, id, object, lent)
    } catch (error) {
      // A stream of a class of a user's may not want to be read.
      this.exports.release(id, 1)
      throw error
    }
    if (this.#ended) this.#gone(this.exports.release(id, 1))
    return [kind, [id, FLOWS[kind], ...told]]
  }

  /** What a call hands over is used in its context, but for the root, which is there for all. */
  runIn(context: Context, given: readonly Given[]): void {
    for (const [kind, data] of given) {
      const entry = kind === 'h' ? undefined : this.exports.get((data as [number])[0])
      if (entry && entry.id > 0) entry.context = context
    }
  }

  takeBack([kind, data]: Given): object | undefined {
    if (kind === 'h' || this.#ended) return undefined
    // The peer has not seen it: it is not told of as released.
    const entry = this.exports.release((data as [number])[0], 1)
    if (!entry) return undefined
    this.flows.undo(entry.id)
    return isFlow(kind) ? entry.object : undefined
  }

  letGo(value: unknown): void {
    letGo(value, this)
  }

  keeps(object: object): boolean {
    return this.exports.has(object) || refBehind(object)?.session === this.session
  }

  holds(id: number): boolean {
    return this.exports.get(id) !== undefined
  }

  objectOf(id: number): object {
    return this.exports.get(id)!.object
  }

  contextOf(id: number): Context | undefined {
    return this.exports.get(id)!.context
  }

  take(kind: ReferenceKind, data: unknown, step?: unknown): unknown {
    if (kind === 'h') return this.#own(data)
    const reference = told(kind, data)
    const id = reference[0]
    if (id === 0) return this.rootRef.proxy
    const ref = this.#receive(id, reference[1], kind === 'f')
    this.#delivery ??= new Delivery(this)
    if (isLoan(kind, reference)) this.#delivery.lend(id, ref)
    else if (ref) this.#delivery.add(ref, step)
    else this.#free(id, 1)
    if (!ref)
      throw new Refusal('limit', `${this.limits.imports} netrefs are held (limits.imports): release some`)
    return isFlow(kind) ? this.flows.take(kind, ref, reference, this.#delivery) : ref.proxy
  }

  turnBack(kind: ReferenceKind, data: unknown): void {
    if (kind === 'h') return
    const reference = told(kind, data)
    const id = reference[0]
    if (id === 0) return
    if (isLoan(kind, reference)) {
      this.#delivery ??= new Delivery(this)
      return this.#delivery.lend(id, undefined)
    }
    const known = this.imports.receive(id)
    if (known) this.decline(known)
    else this.#free(id, 1)
  }

  refuse(): void {
    this.#delivery?.giveBack()
  }

  /** What came by reference in the message that was read last, if anything did. */
  delivered(): Delivery | undefined {
    const delivery = this.#delivery
    this.#delivery = undefined
    return delivery
  }

  /** As long as the netref is anybody's, its home need not know. */
  decline(ref: Ref): void {
    if (this.#ended) return
    const unwanted = (this.#unwanted.get(ref) ?? 0) + 1
    if (unwanted < ref.receipts) return this.#unwanted.set(ref, unwanted)
    this.flows.declined(ref)
    this.release(ref)
  }

  /** The call is over for which it was lent: if that has no answer to say so, its home is told. */
  settle({ id, ref }: Loan, answered: boolean): void {
    if (!answered) this.#free(id, 1)
    // It may have been let go of before.
    if (!ref || ref.released) return
    ref.lent--
    if (--ref.receipts !== (this.#unwanted.get(ref) ?? 0)) return
    this.release(ref)
    // The errors of later uses say so.
    ref.lent = 1
  }

  made(values: number): void {
    this.channel.made(values)
  }

  /** A netref, which lives as long as this turn at the least; undefined where there is no room. */
  #receive(id: number, name: string, callable: boolean): Ref | undefined {
    const known = this.imports.receive(id)
    if (known) return known
    if (this.imports.size >= this.limits.imports) return undefined
    const ref = new Ref(this.session, id, shortened(name), callable)
    if (this.#ended) return ref
    this.imports.add(ref)
    collected.register(ref.proxy, (ref.watch = { ref }))
    loosen(ref)
    return ref
  }

  /** One of our own that came home. */
  #own(id: unknown): unknown {
    if (!Number.isSafeInteger(id)) throw new ProtocolError('a reference home without an id')
    const entry = this.exports.get(id as number)
    if (entry) return entry.object
    throw new Refusal('released', `it refers to #${id}, which was released`)
  }

  /** Gives the receipts of a netref back, once. */
  release(ref: Ref): void {
    if (ref.watch) ref.watch.ref = undefined
    tighten(ref)
    this.#unwanted.delete(ref)
    const receipts = this.imports.release(ref)
    this.flows.released(ref)
    if (receipts > 0) this.#free(ref.id, receipts)
  }

  #free(id: number, receipts: number): void {
    if (this.#ended) return
    this.#freed.push(id, receipts)
    this.freeing()
  }

  /** The peer gives receipts back. */
  released(idsAndReceipts: readonly number[]): void {
    for (let i = 0; i < idsAndReceipts.length; i += 2) {
      const id = idsAndReceipts[i]!
      const gone = this.exports.release(id, idsAndReceipts[i + 1]!)
      if (gone) this.#gone(gone)
      else this.flows.retell(id)
    }
  }

  /** A message with what was freed since the last one; to be asked for until there is none. */
  trailing(): string | undefined {
    if (this.#freed.length === 0) return undefined
    // The peer takes no less than 4 KiB: some of it is for what is around them.
    const most = Math.floor((this.boxing.jsonBytes - 64) / RELEASE_LENGTH)
    return formatRelease(this.#freed.splice(0, 2 * Math.min(RELEASES, most)))
  }

  /** The session ended when so many frames had left: nothing is held any more, on either side. */
  clear(reason: Reason, framesLeft: number): void {
    this.#ended = true
    this.flows.end(reason, framesLeft)
    // What waits for the collector holds the session, which may hold the netref: by its service, or a listener.
    for (const ref of this.imports) {
      ref.watch!.ref = undefined
      tighten(ref)
    }
    this.imports.clear()
    this.#unwanted.clear()
    this.#freed = []
    for (const entry of this.exports.clear()) this.#gone(entry)
  }

  #gone(entry: Export | undefined): void {
    if (entry) this.flows.gone(entry.id)
    const released = entry && grantOf(entry.object)?.released
    if (released) attempt(released, this.report)
  }
}
