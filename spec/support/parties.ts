/* c8 ignore start: this checks, and is not what is checked: branches that no run took this time are no fault. */
// Three parties in a line, A–B–C, that hand things to each other while every frame between them waits to be let go;
// and what has to hold of their tables, after every step.
import { setImmediate as turn } from 'node:timers/promises'
import type { Given } from '../../lib/codec/types.js'
import { expose, Netref, type Pair, pair } from '../../lib/index.js'
import { parseFrame } from '../../lib/protocol/frame.js'
import { Op } from '../../lib/protocol/messages.js'
import { Ref, stateOf, type Watch } from '../../lib/remote/proxy.js'
import { References } from '../../lib/remote/references.js'
import type { MemoryTransport } from '../../lib/transport/memory.js'
import { finalize, kill, watch } from './collector.js'
import type { Loose } from './wire.js'

declare const gc: () => void

const NO_LIMITS = { jsonBytes: 1 << 30, frameBytes: 1 << 30, depth: 1 << 10, values: 1 << 30 }

// The tables of a session are its own business. An end gets at them where it gives, takes back, and asks what is freed.
const ends = new WeakMap<object, End>()
const endOf = (references: References) => ends.get((references as unknown as { session: object }).session)
const { give, takeBack, trailing } = References.prototype
References.prototype.give = function (object, self, lent) {
  const given = give.call(this, object, self, lent)
  endOf(this)?.gave(given, object)
  return given
}
References.prototype.takeBack = function (given) {
  const object = takeBack.call(this, given)
  endOf(this)?.tookBack(given)
  return object
}
References.prototype.trailing = function () {
  const end = endOf(this)
  if (end) end.tables = this
  const message = trailing.call(this)
  if (end?.ended && message) end.world.fail(`${end.party.name} gives back to nobody`)
  return message
}

/** A frame on its way: what it counts, and what it does to receipts. */
interface Flying {
  readonly received: number
  readonly messages: readonly Loose[]
  readonly given: readonly number[]
  readonly released: readonly number[]
}

/** The references in a message, of these kinds: their ids. */
function idsIn(message: Loose, kinds: string): number[] {
  const [json, groups = []] = message[0] >= Op.result ? message.slice(2) : message.slice(4)
  const ids: number[] = []
  if (message[0] === Op.release) return ids
  for (const [kind, ...places] of groups) {
    if (!kinds.includes(kind)) continue
    for (const place of places) {
      const data = place.reduce((at: Loose, key: string | number) => at[key], json)
      ids.push(kind === 'h' ? data : data[0])
    }
  }
  return ids
}

/** One end of a session: its tables, what flies from it, and what the library keeps alive there for now. */
class End {
  readonly refs = new Set<Ref>()
  /** Keeps netrefs from the real collector where the collector is played. */
  readonly alive = new Map<Ref, object>()
  flying: (Flying | 'close')[] = []
  tables!: References
  peer!: End
  ended = false
  /** Own objects given, with the receipts that did not come back: counted as they go and come. */
  readonly #given = new Map<number, { receipts: number; object: object }>()
  #frames = 0
  /** Calls out, calls in and answers, with the netrefs that each keeps alive. */
  #pending = new Map<number, { on: number; kept: object[] }>()
  #unanswered = new Map<number, object[]>()
  #answers: { frame: number; kept: object[] }[] = []

  constructor(
    readonly world: World,
    readonly party: Party,
    readonly session: Pair<object>['session'],
    readonly transport: MemoryTransport
  ) {
    const { send, close } = transport
    ends.set(session, this)
    transport.hold()
    transport.send = (frame, sent) => {
      this.#sent(parseFrame(frame, NO_LIMITS))
      send.call(transport, frame, sent)
    }
    transport.close = reason => {
      if (!this.ended) this.flying.push('close')
      this.#end()
      close.call(transport, reason)
    }
    session.on('closed', reason => {
      if (!world.closed) world.fail(`${party.name} ended for ${reason.code}: ${reason.message}`)
      this.#end()
    })
  }

  gave([kind, data]: Given, object: object): void {
    if (kind === 'h') return
    const [id] = data as [number]
    const known = this.#given.get(id)
    if (known) known.receipts++
    else if (id > 0) this.#given.set(id, { receipts: 1, object })
  }

  /** What was not sent after all, nobody is told of. */
  tookBack([kind, data]: Given): void {
    if (kind === 'h') return
    const [id] = data as [number]
    const known = this.#given.get(id)
    if (known && --known.receipts === 0) this.#given.delete(id)
  }

  #end(): void {
    if (this.ended) return
    this.ended = true
    this.#pending.clear()
    this.#unanswered.clear()
    this.#answers = []
    for (const { object } of this.#given.values()) this.world.owe(object)
    this.#given.clear()
  }

  /** What the library keeps alive here: what is given, what calls on their way need, what answers may be asked for. */
  *kept(): Iterable<object> {
    if (this.ended) return
    for (const { object } of this.tables.exports) yield object
    for (const { kept } of this.#pending.values()) yield* kept
    for (const kept of this.#unanswered.values()) yield* kept
    for (const { kept } of this.#answers) yield* kept
  }

  /** The objects that ids of own things and of netrefs stand for here; as far as they stand for something. */
  #objects(own: readonly number[], theirs: readonly number[]): object[] {
    if (this.world.real) return []
    const found: object[] = []
    if (own.length > 0)
      for (const { id, object } of this.tables.exports) if (own.includes(id)) found.push(object)
    if (theirs.length > 0) {
      for (const ref of this.tables.imports) if (theirs.includes(ref.id) && ref.proxy) found.push(ref.proxy)
    }
    return found
  }

  #sent({ received, messages }: { received: number; messages: readonly Loose[] }): void {
    const frame = ++this.#frames
    const given: number[] = []
    const released: number[] = []
    for (const message of messages) {
      const [op, id, target] = message
      if (op === Op.release) {
        released.push(...message.slice(1))
        continue
      }
      const own = idsIn(message, 'of')
      given.push(...own)
      const theirs = idsIn(message, 'h')
      if (op >= Op.result) {
        this.#unanswered.delete(id)
        const kept = this.#objects(own, theirs)
        if (kept.length > 0) this.#answers.push({ frame, kept })
      } else if (op >= Op.call && op < Op.ping) {
        if (target > 0) theirs.push(target)
        this.#pending.set(id, { on: -target, kept: this.#objects(own, theirs) })
      }
    }
    this.flying.push({ received, messages, given, released })
  }

  /** Lets the next frame arrive here. @returns whether there was one */
  deliver(): boolean {
    const frame = this.peer.flying.shift()
    if (!frame) return false
    const open = !this.ended && frame !== 'close'
    if (open) this.#arriving(frame)
    this.peer.transport.letGo(1)
    if (open) this.#arrived(frame)
    return true
  }

  #arriving({ messages, released }: Flying): void {
    for (const message of messages) {
      if (message[0] >= Op.call && message[0] < Op.ping) {
        this.#unanswered.set(message[1], this.#objects(idsIn(message, 'h'), []))
      }
    }
    for (let i = 0; i < released.length; i += 2) this.#given.get(released[i]!)!.receipts -= released[i + 1]!
  }

  #arrived({ received, messages }: Flying): void {
    for (const message of messages) {
      const [op, id] = message
      if (op >= Op.call && op < Op.ping) {
        this.#unanswered.get(id)?.push(...this.#objects([], idsIn(message, 'of')))
      } else if (op >= Op.result && op !== Op.release) {
        this.#pending.delete(id)
        for (const { on, kept } of this.#pending.values()) {
          if (on === id) kept.push(...this.#objects(idsIn(message, 'h'), idsIn(message, 'of')))
        }
      }
    }
    this.#answers = this.#answers.filter(({ frame }) => frame > received)
  }

  /** What is given is held there, or on its way there, or on its way back: receipt by receipt. */
  check(): void {
    const { peer, world } = this
    for (const [id, { receipts, object }] of this.#given) {
      if (receipts > 0) continue
      this.#given.delete(id)
      world.owe(object)
    }
    if (this.ended || peer.ended) return
    const expected = new Map<number, number>()
    const add = (id: number, receipts: number) => expected.set(id, (expected.get(id) ?? 0) + receipts)
    const imports = new Set<Ref>(peer.tables.imports as Iterable<Ref>)
    for (const ref of peer.refs) {
      if (ref.receipts === 0) {
        peer.refs.delete(ref)
        peer.alive.delete(ref)
        if (imports.has(ref)) world.fail(`${ref.label}, released, is in the table`)
        continue
      }
      add(ref.id, ref.receipts)
      if (ref.proxy && !imports.has(ref)) world.fail(`${ref.label} lives and is not in the table`)
    }
    for (const ref of imports) if (!peer.refs.has(ref)) world.fail(`nobody knows ${ref.label}`)
    for (const frame of this.flying) if (frame !== 'close') for (const id of frame.given) add(id, 1)
    for (const frame of peer.flying) {
      if (frame === 'close') continue
      for (let i = 0; i < frame.released.length; i += 2) add(frame.released[i]!, frame.released[i + 1]!)
    }
    let size = 0
    for (const { id, receipts } of this.tables.exports) {
      size++
      if (expected.get(id) !== receipts) {
        world.fail(
          `#${id} of ${this.party.name}: ${receipts} receipts are out, ${expected.get(id)} are accounted for`
        )
      }
    }
    if (size !== expected.size)
      world.fail(`${this.party.name} gave ${size} things, ${expected.size} are held`)
    const { exports, imports: held } = this.session.stats
    if (exports !== size || peer.session.stats.imports !== imports.size)
      world.fail(`stats: ${exports}, ${held}`)
  }
}

/** Something at home with one party. Whatever it is, it acts for that party. */
class Thing {
  /** What its home sends for it. */
  readonly sent: object
  /** What comes home for it. */
  readonly value: object
  told = 0
  owed = 0
  /** Whether it was released under others who use it: their calls may fail. */
  frail = false

  constructor(
    readonly id: number,
    readonly home: Party,
    readonly kind: 'object' | 'function' | 'member'
  ) {
    const act = (...args: Parameters<Party['act']>) => home.act(...args)
    const released = () => void this.told++
    this.value = kind === 'object' ? expose({ act }, { read: ['act'], released }) : expose(act, { released })
    this.sent = kind === 'member' ? { member: act } : this.value
  }
}

interface Slow {
  readonly values: readonly unknown[]
  readonly answer: () => void
}

class Party {
  readonly ends: End[] = []
  readonly has = new Map<Thing, object>()
  /** The netref that stands for a thing here, while it lives. */
  readonly known = new Map<Thing, Ref>()
  slow: Slow[] = []

  constructor(
    readonly world: World,
    readonly name: string
  ) {}

  /** What another party asks for. */
  act(call: number, verb: string, wants: number[], ids: number[], values: unknown): unknown {
    this.world.run(call)
    const received = unwrap(values)
    for (const [i, id] of ids.entries()) this.receive(this.world.things[id]!, received[i], call % 3 > 0)
    switch (verb) {
      case 'touch':
        return call
      case 'throw':
        throw new Error('thrown')
      case 'unsendable':
        return [...this.give(wants), Symbol('unsendable')]
      case 'later':
        return new Promise(resolve => {
          this.slow.push({ values: received, answer: () => resolve(this.give(wants)) })
        })
      default:
        return this.give(wants)
    }
  }

  give(ids: readonly number[]): unknown[] {
    return ids.map(id => this.sendable(this.world.things[id]!) ?? null)
  }

  sendable(thing: Thing): unknown {
    return thing.home === this ? thing.sent : this.has.get(thing)
  }

  /** Identity, both ways: what comes home is itself; what is known is the same netref as long as that lives. */
  receive(thing: Thing, value: Loose, keep: boolean): void {
    const it = stateOf(value) || typeof value === 'function' ? value : (value.member ?? value)
    if (thing.home === this) {
      if (it !== thing.value) this.world.fail(`${this.name} got ${String(it)} for its own thing ${thing.id}`)
      return
    }
    const ref = stateOf(it)
    if (!(ref instanceof Ref)) return this.world.fail(`${this.name} got no netref for thing ${thing.id}`)
    if (ref.released) {
      if (!thing.frail) this.world.fail(`${this.name} got a released netref for thing ${thing.id}`)
      return
    }
    const known = this.known.get(thing)
    // A member function of B's that comes home to B is the function alone: sent on from there it is another reference.
    const alone = thing.kind === 'member' && thing.home.ends.length > 1
    if (known && known !== ref && known.proxy && !known.released && !thing.frail && !alone) {
      this.world.fail(`${this.name} got a second netref, ${ref.label} beside ${known.label}`)
    }
    this.known.set(thing, ref)
    if (keep) this.has.set(thing, it)
  }

  /** What the library, or a call that is not over, keeps alive here. */
  kept(): Set<object> {
    const kept = new Set<object>()
    for (const end of this.ends) for (const object of end.kept()) kept.add(object)
    for (const { values } of this.slow) for (const value of values) kept.add(value as object)
    return kept
  }
}

const wrap = (shape: number, values: unknown[]): unknown =>
  shape === 0 ? new Map(values.entries()) : shape === 1 ? { deep: [values] } : values
const unwrap = (values: Loose): unknown[] =>
  values instanceof Map ? [...values.values()] : (values.deep?.[0] ?? values)

/** Numbers that seem random and are the same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Call {
  what: string
  excuses: Set<string>
  things: Thing[]
  ran: number
  settled: boolean
}

/** What a call fails for that builds on what is not given. */
const MISSING = ['not-exposed', 'not-callable']

/** Until `nextTick` is known to run, frames leave at an immediate. */
const tick = () => turn()

export class World {
  readonly things: Thing[] = []
  readonly parties = ['A', 'B', 'C'].map(name => new Party(this, name))
  readonly ends: End[] = []
  readonly calls: Call[] = []
  readonly steps: string[] = []
  closed = false
  failure: Error | undefined
  #dead: object[] = []
  readonly #unwatch: () => void

  /** With `tight` tables calls fail for limits. With `real` the collector is the real one. */
  constructor(
    readonly tight: boolean,
    readonly real: boolean
  ) {
    const limits = tight ? { limits: { exports: 4, imports: 3 } } : {}
    const [a, b, c] = this.parties as [Party, Party, Party]
    for (const home of this.parties) {
      for (const kind of ['object', 'function', 'member'] as const) {
        this.things.push(new Thing(this.things.length, home, kind))
      }
    }
    this.#unwatch = watch((proxy, held) => {
      const { ref } = held as Partial<Watch>
      const end = ref instanceof Ref && this.ends.find(end => end.session === ref.session)
      if (!end) return
      end.refs.add(ref)
      if (!real) end.alive.set(ref, proxy)
    })
    for (const [client, server] of [
      [a, b],
      [c, b]
    ] as const) {
      const root = (party: Party) => () => ({
        act: (...args: Parameters<Party['act']>) => party.act(...args)
      })
      const onError = () => {}
      const options = { ...limits, onError }
      const joined = pair(root(server), { ...options, service: root(client), serving: options })
      const ends = [
        new End(this, client, joined.session, joined.transports[0]),
        new End(this, server, joined.served, joined.transports[1])
      ] as const
      ends[0].peer = ends[1]
      ends[1].peer = ends[0]
      client.ends.push(ends[0])
      server.ends.push(ends[1])
      this.ends.push(...ends)
    }
  }

  fail(what: string): void {
    this.failure ??= new Error(`${what}\n${this.steps.join('\n')}`)
  }

  /** A call arrived at its home. */
  run(call: number): void {
    const { ran, what } = this.calls[call]!
    this.calls[call]!.ran = ran + 1
    if (ran > 0) this.fail(`${what} ran twice`)
  }

  /** Somebody let go of the last netref to a thing, or was lost: its home is to be told. */
  owe(object: object): void {
    const thing = this.things.find(({ value }) => value === object)
    if (thing) thing.owed++
  }

  /** All that was caused so far happens, but no frame arrives. */
  async settle(): Promise<void> {
    await tick()
    await tick()
  }

  check(): void {
    for (const end of this.ends) end.check()
    for (const { id, told, owed } of this.things) {
      if (told !== owed) this.fail(`the home of thing ${id} was told ${told} times, not ${owed}`)
    }
    if (this.failure) throw this.failure
  }

  async begin(): Promise<void> {
    await this.settle()
    await this.#rest()
    this.check()
  }

  /** One step, of what this number says. */
  async step(seed: number): Promise<void> {
    const pick = numbers(seed)
    const one = <T>(list: readonly T[]) => list[pick(list.length)]!
    const party = one(this.parties)
    const choice = pick(100)
    if (choice < 32) this.#call(party, pick, one)
    else if (choice < 68) {
      const waited = this.ends.filter(({ peer }) => peer.flying.length > 0)
      const end = one(waited.length > 0 ? waited : this.ends)
      const frames = 1 + pick(3)
      const together = pick(2) === 0
      this.#note(`${frames} frames from ${end.peer.party.name} to ${end.party.name}`)
      for (let i = 0; i < frames && end.deliver(); i++) if (!together) await this.settle()
    } else if (choice < 74) this.#release(party, pick, one)
    else if (choice < 82) {
      const thing = [...party.has.keys()][pick(party.has.size)]
      this.#note(`${party.name} drops ${thing?.id}`)
      if (thing) party.has.delete(thing)
    } else if (choice < 89) {
      if (this.real) await this.#collectReally()
      else this.#collect(party, pick)
    } else if (choice < 94) this.#finalize(pick(this.#dead.length + 1))
    else if (choice < 99) {
      const { slow } = one(this.parties.filter(({ slow }) => slow.length > 0).concat(party))
      const [answered] = slow.splice(pick(slow.length), 1)
      this.#note(`${answered ? '' : 'no '}slow call is answered`)
      answered?.answer()
    } else if (pick(4) === 0) {
      const end = one(this.ends)
      this.#note(`${end.party.name} closes towards ${end.peer.party.name}`)
      this.closed = true
      void end.session.close()
    }
    await this.settle()
    this.check()
  }

  #note(step: string): void {
    this.steps.push(step)
  }

  #call(party: Party, pick: (below: number) => number, one: <T>(list: readonly T[]) => T): void {
    const end = one(party.ends)
    const reachable = this.things.filter(thing => party.sendable(thing) !== undefined)
    const [held, target] = one([...party.has, [undefined, end.session.root]])
    const sent = Array.from({ length: pick(4) }, () => one(reachable))
    const wanted = Array.from({ length: pick(3) }, () => one(this.things))
    const verb = one(['touch', 'give', 'give', 'later', 'throw', 'unsendable', 'nothing'])
    const bad = pick(12) === 0
    const pipelined = verb === 'give' && wanted.length > 0 && pick(3) === 0
    const number = this.calls.length
    const things = [...sent, ...wanted, ...(held ? [held] : [])]
    const home = held?.home ?? end.peer.party
    const call = this.#begin(`${number}: ${party.name} ${held?.id ?? `root of ${home.name}`} ${verb}`, things)
    call.what += ` gives ${sent.map(({ id }) => id)} wants ${wanted.map(({ id }) => id)}${bad ? ' badly' : ''}`
    this.#note(call.what)
    if (bad || verb === 'unsendable') call.excuses.add('unsendable')
    if (verb === 'throw') call.excuses.add('thrown')
    if (verb === 'nothing') call.excuses.add('not-exposed')
    const values = sent.map(thing => party.sendable(thing))
    const wants = wanted.map(({ id }) => id)
    const args = [
      number,
      verb,
      wants,
      sent.map(({ id }) => id),
      wrap(pick(4), bad ? [...values, Symbol('bad')] : values)
    ]
    const proxy = target as Loose
    const result =
      verb === 'nothing'
        ? proxy.nothing(...args)
        : held && held.kind !== 'object'
          ? proxy(...args)
          : proxy.act(...args)
    const next = pipelined ? this.#buildOn(call, wanted[0]!, home, result) : undefined
    this.#follow(call, result, answer => {
      if (call.ran !== 1 || bad || !['touch', 'give', 'later'].includes(verb))
        this.fail(`${call.what} succeeded`)
      if (verb === 'touch') {
        if (answer !== number) this.fail(`${call.what} gave ${answer}`)
        return
      }
      const received = answer as unknown[]
      if (next && received[0] !== null) for (const excuse of MISSING) next.excuses.delete(excuse)
      for (const [i, thing] of wanted.entries()) {
        if (received[i] !== null) party.receive(thing, received[i], number % 3 > 0)
      }
    })
  }

  /** A call on what another will give first, before that is there. */
  #buildOn({ what, excuses, things }: Call, thing: Thing, home: Party, result: Loose): Call {
    const number = this.calls.length
    const next = this.#begin(`${number}: on the first of ${what}`, things)
    for (const excuse of [...MISSING, ...excuses]) next.excuses.add(excuse)
    this.#note(`${number}: on the first of ${number - 1}`)
    const first = thing.kind === 'member' && thing.home === home ? result[0].member : result[0]
    const args = [number, 'touch', [], [], []]
    this.#follow(next, thing.kind === 'object' ? first.act(...args) : first(...args), answer => {
      if (next.ran !== 1 || answer !== number) this.fail(`${next.what} gave ${answer}`)
    })
    return next
  }

  #begin(what: string, things: Thing[]): Call {
    const call = { what, excuses: new Set<string>(), things, ran: 0, settled: false }
    this.calls.push(call)
    return call
  }

  /** A call comes to an end, once, and fails only for a reason. */
  #follow(call: Call, result: PromiseLike<unknown>, succeeded: (answer: unknown) => void): void {
    result.then(
      answer => {
        call.settled = true
        succeeded(answer)
      },
      error => {
        call.settled = true
        const code = error.code ?? error.message
        const excused =
          call.excuses.has(code) ||
          (code === 'limit' && this.tight) ||
          (code === 'closed' && this.closed) ||
          ((code === 'released' || code === 'unsendable') && call.things.some(({ frail }) => frail))
        if (!excused) this.fail(`${call.what} failed: ${error.stack}`)
      }
    )
  }

  /** By hand or by `using`; now and then of what others still use through this party. */
  #release(party: Party, pick: (below: number) => number, one: <T>(list: readonly T[]) => T): void {
    const free = pick(6) === 0
    const kept = party.kept()
    const [thing, netref] = one(
      [...party.has].filter(([, netref]) => free || !kept.has(netref)).concat([[] as Loose])
    )
    this.#note(`${party.name} releases ${thing?.id}`)
    if (!thing) return
    if (kept.has(netref)) thing.frail = true
    party.has.delete(thing)
    if (pick(2) === 0) Netref.release(netref as Loose)
    else {
      using _ = netref as Disposable
    }
  }

  /** What nobody holds is gone; that it is gone is told later. */
  #collect(party: Party, pick: (below: number) => number): void {
    const kept = party.kept()
    for (const netref of party.has.values()) kept.add(netref)
    for (const end of party.ends) {
      for (const [ref, netref] of end.alive) {
        if (kept.has(netref) || !ref.proxy || pick(3) === 0) continue
        this.#note(`${party.name} collects ${ref.label}`)
        kill(netref)
        this.#dead.push(netref)
      }
    }
  }

  async #collectReally(): Promise<void> {
    this.#note('the collector runs')
    await turn()
    gc()
    await turn()
    await turn()
  }

  #finalize(which: number): void {
    const [netref] = this.#dead.splice(which, 1)
    this.#note(`a finalizer runs${netref ? '' : ', not'}`)
    if (netref) finalize(netref)
  }

  /** Everything arrives, and is answered. */
  async #rest(): Promise<void> {
    for (let busy = true; busy; ) {
      busy = false
      for (const end of this.ends) while (end.deliver()) busy = true
      for (const party of this.parties) {
        for (const { answer } of party.slow) answer()
        if (party.slow.length > 0) busy = true
        party.slow = []
      }
      await this.settle()
      this.check()
    }
  }

  /** Comes to rest, where counts are equal; then lets go of everything, and nothing is left. */
  async finish(): Promise<void> {
    this.#note('rest')
    await this.#rest()
    const lost = this.calls.find(({ settled }) => !settled)
    if (lost) this.fail(`lost: ${lost.what}`)
    while (this.#dead.length > 0) this.#finalize(0)
    await this.settle()
    await this.#rest()
    for (const { ended, peer, session, party } of this.ends) {
      const { exports, pending } = session.stats
      if (exports !== (peer.ended ? 0 : peer.session.stats.imports))
        this.fail(`${party.name} gave ${exports} at rest`)
      if (pending > 0) this.fail(`${party.name} waits for ${pending} calls at rest`)
      if (ended !== peer.ended) this.fail(`${party.name}: one end has ended`)
    }
    this.#note('let go')
    for (const party of this.parties) party.has.clear()
    for (let i = 0; i < 12 && !this.#empty; i++) {
      for (const { session } of this.ends) session.ping().catch(() => {})
      await this.settle()
      await this.#rest()
      if (this.real) await this.#collectReally()
      else for (const party of this.parties) this.#collect(party, () => 1)
      while (this.#dead.length > 0) this.#finalize(0)
      await this.settle()
      await this.#rest()
    }
    if (!this.#empty) this.fail(`left: ${this.ends.map(({ session }) => JSON.stringify(session.stats))}`)
    this.closed = true
    for (const { session } of this.ends) void session.close()
    await this.settle()
    await this.#rest()
    this.#unwatch()
  }

  get #empty(): boolean {
    return this.ends.every(({ session: { stats } }) => stats.exports === 0 && stats.imports === 0)
  }
}
