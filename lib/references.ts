// The references of a session: what is given out, what is received, and what is given back.
import type { Given, Giver, ReferenceKind } from './box.js'
import { ProtocolError, type Reason, Refusal } from './errors.js'
import { attempt, type Report } from './events.js'
import { grantOf } from './expose.js'
import { type FlowChannel, Flows, refBehind } from './flows.js'
import { className, functionName } from './labels.js'
import { Ref, type Requester, stateOf, type Watch } from './netref.js'
import type { Limits } from './options.js'
import { formatRelease, type PeerLimits } from './protocol.js'
import { type Export, ExportTable, ImportTable } from './tables.js'
import type { Taker } from './unbox.js'
import { type Home, letGo } from './unsent.js'
import type { FlowKind } from './values.js'

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
const isFlow = (kind: ReferenceKind): kind is FlowKind => Object.hasOwn(FLOWS, kind)

/** How much of a peer's name for a netref is kept, to tell of it. */
const NAME_LENGTH = 60

/** A part of a text, as engines make it, keeps the whole of it alive. */
const shortened = (name: string) =>
  name.length <= NAME_LENGTH ? name : Array.from(name.slice(0, NAME_LENGTH)).join('')

export class References implements Giver, Taker, Home {
  boxing!: Giver['boxing']
  readonly exports: ExportTable
  readonly imports = new ImportTable<object, Ref>()
  readonly flows: Flows
  /** Ids and receipts to be given back at the end of the tick. */
  #freed: number[] = []
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

  give(object: object, self: object | undefined): Given {
    const ref = stateOf(object)
    if (ref instanceof Ref && ref.session === this.session) return ['h', ref.id]
    // A netref's `this` is at its home: it is the same wherever it is found.
    const { id } = this.exports.give(object, ref ? undefined : self)
    if (this.#ended) this.exports.release(id, 1)
    if (ref) return [typeof object === 'function' ? 'f' : 'o', [id, (ref as Ref).name]]
    return typeof object === 'function' ? ['f', [id, functionName(object)]] : ['o', [id, className(object)]]
  }

  giveFlow(object: object, kind: FlowKind, lent: boolean): Given {
    // A stream is read and written where it has got to: the original is locked.
    const ref = kind === 'r' || kind === 'w' ? undefined : refBehind(object)
    if (ref?.session === this.session && !ref.released) return ['h', ref.id]
    const { id } = this.exports.give(object, undefined)
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

  take(kind: ReferenceKind, data: unknown): unknown {
    if (kind === 'h') return this.#own(data)
    const [id, name] = (Array.isArray(data) ? data : []) as [unknown, unknown]
    if (!Number.isSafeInteger(id) || (id as number) < 0 || typeof name !== 'string') {
      throw new ProtocolError('a reference without an id and a name')
    }
    if (isFlow(kind)) return this.flows.take(kind, this.#netref(id as number, name, false), data as unknown[])
    return id === 0 ? this.rootRef.proxy : this.#netref(id as number, name, kind === 'f')
  }

  made(values: number): void {
    this.channel.made(values)
  }

  #netref(id: number, name: string, callable: boolean): object {
    if (id === 0) throw new ProtocolError('a root with a flow')
    const known = this.imports.receive(id)
    if (known) return known
    if (this.imports.size >= this.limits.imports) {
      this.#free(id, 1)
      throw new Refusal('limit', `${this.limits.imports} netrefs are held (limits.imports): release some`)
    }
    const ref = new Ref(this.session, id, shortened(name), callable)
    const { proxy } = ref
    if (this.#ended) return proxy
    this.imports.add(ref)
    collected.register(proxy, (ref.watch = { ref }))
    return proxy
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

  /** The session ended: nothing is held any more, on either side. */
  clear(reason: Reason): void {
    this.#ended = true
    this.flows.end(reason)
    // What waits for the collector holds the session, which may hold the netref: by its service, or a listener.
    for (const { watch } of this.imports) watch!.ref = undefined
    this.imports.clear()
    this.#freed = []
    for (const entry of this.exports.clear()) this.#gone(entry)
  }

  #gone(entry: Export | undefined): void {
    if (entry) this.flows.gone(entry.id)
    const released = entry && grantOf(entry.object)?.released
    if (released) attempt(released, this.report)
  }
}
