/* c8 ignore start: this checks, and is not what is checked: branches that no run took this time are no fault. */
// Simulates three parties in a line, A–B–C, that pass objects to each other. The simulation controls the delivery of
// every frame, and checks the invariants of all tables after each step.
import { setImmediate as turn } from 'node:timers/promises'
import type { EncodedReference } from '../../lib/codec/types.js'
import { expose, Netref, type Pair, pair } from '../../lib/index.js'
import { parseFrame } from '../../lib/protocol/frame.js'
import { Op } from '../../lib/protocol/messages.js'
import { type FinalizerToken, handlerOf, Reference } from '../../lib/remote/proxy.js'
import { References } from '../../lib/remote/references.js'
import type { MemoryTransport } from '../../lib/transport/memory.js'
import { markCollected, runFinalizer, watchRegistrations } from './fake-collector.js'
import type { Untyped } from './wire.js'

declare const gc: () => void

const NO_LIMITS = { jsonBytes: 1 << 30, frameBytes: 1 << 30, depth: 1 << 10, values: 1 << 30 }

// The tables of a session are private: the model observes encoding, rollback and releases.
const modelEnds = new WeakMap<object, ModelEnd>()
const modelEndOf = (references: References) =>
  modelEnds.get((references as unknown as { session: object }).session)
const { encodeReference: give, rollback: takeBack, takeReleaseMessage: trailing } = References.prototype
References.prototype.encodeReference = function (object, self, lent) {
  const given = give.call(this, object, self, lent)
  modelEndOf(this)?.onEncoded(given, object)
  return given
}
References.prototype.rollback = function (given) {
  const object = takeBack.call(this, given)
  modelEndOf(this)?.onRolledBack(given)
  return object
}
References.prototype.takeReleaseMessage = function () {
  const end = modelEndOf(this)
  if (end) end.tables = this
  const message = trailing.call(this)
  if (end?.ended && message) end.simulation.fail(`${end.party.name} gives back to nobody`)
  return message
}

/** A frame in transit: its acknowledgement, and its effect on reference counts. */
interface InFlightFrame {
  readonly acknowledged: number
  readonly messages: readonly Untyped[]
  readonly encodedIds: readonly number[]
  readonly releasedIdsAndCounts: readonly number[]
}

/** The ids of the references of these kinds in a message. */
function idsIn(message: Untyped, kinds: string): number[] {
  const [json, groups = []] = message[0] >= Op.result ? message.slice(2) : message.slice(4)
  const ids: number[] = []
  if (message[0] === Op.release) return ids
  for (const [kind, ...places] of groups) {
    if (!kinds.includes(kind)) continue
    for (const place of places) {
      const data = place.reduce((at: Untyped, key: string | number) => at[key], json)
      ids.push(kind === 'h' ? data : data[0])
    }
  }
  return ids
}

/** One end of a session: its tables, frames in transit, and the objects that the library keeps alive. */
class ModelEnd {
  readonly refs = new Set<Reference>()
  /** Keeps netrefs from the real collector while the fake one is used. */
  readonly alive = new Map<Reference, object>()
  inFlight: (InFlightFrame | 'close')[] = []
  tables!: References
  peer!: ModelEnd
  ended = false
  /** Exported objects with the reference counts that the model expects. */
  readonly #exported = new Map<number, { refCount: number; object: object }>()
  #frames = 0
  /** Outgoing calls, incoming calls and answers, with the netrefs that each keeps alive. */
  #pending = new Map<number, { on: number; keptAlive: object[] }>()
  #unanswered = new Map<number, object[]>()
  #answers: { frame: number; kept: object[] }[] = []

  constructor(
    readonly simulation: ReferenceSimulation,
    readonly party: Party,
    readonly session: Pair<object>['session'],
    readonly transport: MemoryTransport
  ) {
    const { send, close } = transport
    modelEnds.set(session, this)
    transport.hold()
    transport.send = (frame, sent) => {
      this.#onSent(parseFrame(frame, NO_LIMITS))
      send.call(transport, frame, sent)
    }
    transport.close = reason => {
      if (!this.ended) this.inFlight.push('close')
      this.#end()
      close.call(transport, reason)
    }
    session.on('closed', reason => {
      if (!simulation.closed) simulation.fail(`${party.name} ended for ${reason.code}: ${reason.message}`)
      this.#end()
    })
  }

  onEncoded([kind, data]: EncodedReference, object: object): void {
    if (kind === 'h') return
    const [id] = data as [number]
    const known = this.#exported.get(id)
    if (known) known.refCount++
    else if (id > 0) this.#exported.set(id, { refCount: 1, object })
  }

  /** A reference that was rolled back was not sent. */
  onRolledBack([kind, data]: EncodedReference): void {
    if (kind === 'h') return
    const [id] = data as [number]
    const known = this.#exported.get(id)
    if (known && --known.refCount === 0) this.#exported.delete(id)
  }

  #end(): void {
    if (this.ended) return
    this.ended = true
    this.#pending.clear()
    this.#unanswered.clear()
    this.#answers = []
    for (const { object } of this.#exported.values()) this.simulation.expectReleased(object)
    this.#exported.clear()
  }

  /** Objects that the library keeps alive: exports, and those of pending calls and unacknowledged answers. */
  *kept(): Iterable<object> {
    if (this.ended) return
    for (const { object } of this.tables.exports) yield object
    for (const { keptAlive: kept } of this.#pending.values()) yield* kept
    for (const kept of this.#unanswered.values()) yield* kept
    for (const { kept } of this.#answers) yield* kept
  }

  /** The objects of these export and import ids, as far as they exist. */
  #objects(own: readonly number[], theirs: readonly number[]): object[] {
    if (this.simulation.usesRealCollector) return []
    const found: object[] = []
    if (own.length > 0)
      for (const { id, object } of this.tables.exports) if (own.includes(id)) found.push(object)
    if (theirs.length > 0) {
      for (const ref of this.tables.imports) if (theirs.includes(ref.id) && ref.proxy) found.push(ref.proxy)
    }
    return found
  }

  #onSent({ ack, messages }: { ack: number; messages: readonly Untyped[] }): void {
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
        this.#pending.set(id, { on: -target, keptAlive: this.#objects(own, theirs) })
      }
    }
    this.inFlight.push({
      acknowledged: ack,
      messages,
      encodedIds: given,
      releasedIdsAndCounts: released
    })
  }

  /** Delivers the next frame to this end. @returns false if there is none */
  deliver(): boolean {
    const frame = this.peer.inFlight.shift()
    if (!frame) return false
    const open = !this.ended && frame !== 'close'
    if (open) this.#beforeReceive(frame)
    this.peer.transport.letGo(1)
    if (open) this.#afterReceive(frame)
    return true
  }

  #beforeReceive({ messages, releasedIdsAndCounts }: InFlightFrame): void {
    for (const message of messages) {
      if (message[0] >= Op.call && message[0] < Op.ping) {
        this.#unanswered.set(message[1], this.#objects(idsIn(message, 'h'), []))
      }
    }
    for (let i = 0; i < releasedIdsAndCounts.length; i += 2)
      this.#exported.get(releasedIdsAndCounts[i]!)!.refCount -= releasedIdsAndCounts[i + 1]!
  }

  #afterReceive({ acknowledged, messages }: InFlightFrame): void {
    for (const message of messages) {
      const [op, id] = message
      if (op >= Op.call && op < Op.ping) {
        this.#unanswered.get(id)?.push(...this.#objects([], idsIn(message, 'of')))
      } else if (op >= Op.result && op !== Op.release) {
        this.#pending.delete(id)
        for (const { on, keptAlive } of this.#pending.values()) {
          if (on === id) keptAlive.push(...this.#objects(idsIn(message, 'h'), idsIn(message, 'of')))
        }
      }
    }
    this.#answers = this.#answers.filter(({ frame }) => frame > acknowledged)
  }

  /** Checks each reference count: it is held by the peer, or in transit in either direction. */
  check(): void {
    const { peer, simulation } = this
    for (const [id, { refCount, object }] of this.#exported) {
      if (refCount > 0) continue
      this.#exported.delete(id)
      simulation.expectReleased(object)
    }
    if (this.ended || peer.ended) return
    const expected = new Map<number, number>()
    const add = (id: number, refCount: number) => expected.set(id, (expected.get(id) ?? 0) + refCount)
    const imports = new Set<Reference>(peer.tables.imports as Iterable<Reference>)
    for (const ref of peer.refs) {
      if (ref.refCount === 0) {
        peer.refs.delete(ref)
        peer.alive.delete(ref)
        if (imports.has(ref)) simulation.fail(`${ref.label}, released, is in the table`)
        continue
      }
      add(ref.id, ref.refCount)
      if (ref.proxy && !imports.has(ref)) simulation.fail(`${ref.label} lives and is not in the table`)
    }
    for (const ref of imports) if (!peer.refs.has(ref)) simulation.fail(`nobody knows ${ref.label}`)
    for (const frame of this.inFlight) if (frame !== 'close') for (const id of frame.encodedIds) add(id, 1)
    for (const frame of peer.inFlight) {
      if (frame === 'close') continue
      for (let i = 0; i < frame.releasedIdsAndCounts.length; i += 2)
        add(frame.releasedIdsAndCounts[i]!, frame.releasedIdsAndCounts[i + 1]!)
    }
    let size = 0
    for (const { id, refCount } of this.tables.exports) {
      size++
      if (expected.get(id) !== refCount) {
        simulation.fail(
          `#${id} of ${this.party.name}: ${refCount} refCount are out, ${expected.get(id)} are accounted for`
        )
      }
    }
    if (size !== expected.size)
      simulation.fail(`${this.party.name} gave ${size} things, ${expected.size} are held`)
    const { exports, imports: held } = this.session.stats
    if (exports !== size || peer.session.stats.imports !== imports.size)
      simulation.fail(`stats: ${exports}, ${held}`)
  }
}

/** An object that one party owns. */
class ModelObject {
  /** What its owner sends for it. */
  readonly sent: object
  /** What its owner receives for it. */
  readonly value: object
  releasedCalls = 0
  expectedReleasedCalls = 0
  /** Whether it was released while others used it: their calls may fail. */
  mayBeReleased = false

  constructor(
    readonly id: number,
    readonly owner: Party,
    readonly kind: 'object' | 'function' | 'member'
  ) {
    const act = (...args: Parameters<Party['act']>) => owner.act(...args)
    const released = () => void this.releasedCalls++
    this.value = kind === 'object' ? expose({ act }, { read: ['act'], released }) : expose(act, { released })
    this.sent = kind === 'member' ? { member: act } : this.value
  }
}

interface SlowCall {
  readonly values: readonly unknown[]
  readonly answer: () => void
}

class Party {
  readonly ends: ModelEnd[] = []
  readonly heldProxies = new Map<ModelObject, object>()
  /** The live netref of each object. */
  readonly liveReferences = new Map<ModelObject, Reference>()
  slowCalls: SlowCall[] = []

  constructor(
    readonly simulation: ReferenceSimulation,
    readonly name: string
  ) {}

  /** Performs a call of another party. */
  act(call: number, verb: string, wants: number[], ids: number[], values: unknown): unknown {
    this.simulation.onCallRun(call)
    const received = unwrap(values)
    for (const [i, id] of ids.entries()) this.receive(this.simulation.objects[id]!, received[i], call % 3 > 0)
    switch (verb) {
      case 'touch':
        return call
      case 'throw':
        throw new Error('thrown')
      case 'unsendable':
        return [...this.valuesFor(wants), Symbol('unsendable')]
      case 'later':
        return new Promise(resolve => {
          this.slowCalls.push({ values: received, answer: () => resolve(this.valuesFor(wants)) })
        })
      default:
        return this.valuesFor(wants)
    }
  }

  valuesFor(ids: readonly number[]): unknown[] {
    return ids.map(id => this.valueFor(this.simulation.objects[id]!) ?? null)
  }

  valueFor(thing: ModelObject): unknown {
    return thing.owner === this ? thing.sent : this.heldProxies.get(thing)
  }

  /** Checks identity: an owner gets its original object; others get the same netref while that is alive. */
  receive(thing: ModelObject, value: Untyped, keep: boolean): void {
    const it = handlerOf(value) || typeof value === 'function' ? value : (value.member ?? value)
    if (thing.owner === this) {
      if (it !== thing.value)
        this.simulation.fail(`${this.name} got ${String(it)} for its own thing ${thing.id}`)
      return
    }
    const ref = handlerOf(it)
    if (!(ref instanceof Reference))
      return this.simulation.fail(`${this.name} got no netref for thing ${thing.id}`)
    if (ref.released) {
      if (!thing.mayBeReleased)
        this.simulation.fail(`${this.name} got a released netref for thing ${thing.id}`)
      return
    }
    const known = this.liveReferences.get(thing)
    // A member function of B that returns to B arrives without its object: B sends it on as another reference.
    const alone = thing.kind === 'member' && thing.owner.ends.length > 1
    if (known && known !== ref && known.proxy && !known.released && !thing.mayBeReleased && !alone) {
      this.simulation.fail(`${this.name} got a second netref, ${ref.label} beside ${known.label}`)
    }
    this.liveReferences.set(thing, ref)
    if (keep) this.heldProxies.set(thing, it)
  }

  /** Objects that the library, or a pending call, keeps alive at this party. */
  keptAlive(): Set<object> {
    const kept = new Set<object>()
    for (const end of this.ends) for (const object of end.kept()) kept.add(object)
    for (const { values } of this.slowCalls) for (const value of values) kept.add(value as object)
    return kept
  }
}

const wrap = (shape: number, values: unknown[]): unknown =>
  shape === 0 ? new Map(values.entries()) : shape === 1 ? { deep: [values] } : values
const unwrap = (values: Untyped): unknown[] =>
  values instanceof Map ? [...values.values()] : (values.deep?.[0] ?? values)

/** Pseudo-random numbers from a seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface ModelCall {
  what: string
  allowedErrors: Set<string>
  things: ModelObject[]
  runs: number
  settled: boolean
}

/** Errors of a call on a member that does not exist. */
const MISSING_MEMBER_ERRORS = ['not-exposed', 'not-callable']

/** Frames leave in `setImmediate` until `nextTick` is known to run. */
const tick = () => turn()

export class ReferenceSimulation {
  readonly objects: ModelObject[] = []
  readonly parties = ['A', 'B', 'C'].map(name => new Party(this, name))
  readonly ends: ModelEnd[] = []
  readonly calls: ModelCall[] = []
  readonly steps: string[] = []
  closed = false
  failure: Error | undefined
  #collectedProxies: object[] = []
  readonly #stopWatching: () => void

  /** With tight limits calls fail with `limit`. With the real collector nothing is marked as collected. */
  constructor(
    readonly hasTightLimits: boolean,
    readonly usesRealCollector: boolean
  ) {
    const limits = hasTightLimits ? { limits: { exports: 4, imports: 3 } } : {}
    const [a, b, c] = this.parties as [Party, Party, Party]
    for (const home of this.parties) {
      for (const kind of ['object', 'function', 'member'] as const) {
        this.objects.push(new ModelObject(this.objects.length, home, kind))
      }
    }
    this.#stopWatching = watchRegistrations((proxy, held) => {
      const { reference } = held as Partial<FinalizerToken>
      const end = reference instanceof Reference && this.ends.find(end => end.session === reference.session)
      if (!end) return
      end.refs.add(reference)
      if (!usesRealCollector) end.alive.set(reference, proxy)
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
        new ModelEnd(this, client, joined.session, joined.transports[0]),
        new ModelEnd(this, server, joined.served, joined.transports[1])
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

  /** Records that a call runs at its owner. */
  onCallRun(call: number): void {
    const { runs, what } = this.calls[call]!
    this.calls[call]!.runs = runs + 1
    if (runs > 0) this.fail(`${what} runs twice`)
  }

  /** The last netref of an object was released or lost: its owner must be told. */
  expectReleased(object: object): void {
    const thing = this.objects.find(({ value }) => value === object)
    if (thing) thing.expectedReleasedCalls++
  }

  /** Runs all pending tasks without delivering a frame. */
  async settle(): Promise<void> {
    await tick()
    await tick()
  }

  check(): void {
    for (const end of this.ends) end.check()
    for (const { id, releasedCalls, expectedReleasedCalls } of this.objects) {
      if (releasedCalls !== expectedReleasedCalls)
        this.fail(`the home of thing ${id} was told ${releasedCalls} times, not ${expectedReleasedCalls}`)
    }
    if (this.failure) throw this.failure
  }

  async begin(): Promise<void> {
    await this.settle()
    await this.#settleAll()
    this.check()
  }

  /** Performs one step, chosen by the seed. */
  async step(seed: number): Promise<void> {
    const pick = numbers(seed)
    const one = <T>(list: readonly T[]) => list[pick(list.length)]!
    const party = one(this.parties)
    const choice = pick(100)
    if (choice < 32) this.#call(party, pick, one)
    else if (choice < 68) {
      const waited = this.ends.filter(({ peer }) => peer.inFlight.length > 0)
      const end = one(waited.length > 0 ? waited : this.ends)
      const frames = 1 + pick(3)
      const together = pick(2) === 0
      this.#log(`${frames} frames from ${end.peer.party.name} to ${end.party.name}`)
      for (let i = 0; i < frames && end.deliver(); i++) if (!together) await this.settle()
    } else if (choice < 74) this.#release(party, pick, one)
    else if (choice < 82) {
      const thing = [...party.heldProxies.keys()][pick(party.heldProxies.size)]
      this.#log(`${party.name} drops ${thing?.id}`)
      if (thing) party.heldProxies.delete(thing)
    } else if (choice < 89) {
      if (this.usesRealCollector) await this.#collectReally()
      else this.#collect(party, pick)
    } else if (choice < 94) this.#finalize(pick(this.#collectedProxies.length + 1))
    else if (choice < 99) {
      const { slowCalls: slow } = one(
        this.parties.filter(({ slowCalls }) => slowCalls.length > 0).concat(party)
      )
      const [answered] = slow.splice(pick(slow.length), 1)
      this.#log(`${answered ? '' : 'no '}slow call is answered`)
      answered?.answer()
    } else if (pick(4) === 0) {
      const end = one(this.ends)
      this.#log(`${end.party.name} closes towards ${end.peer.party.name}`)
      this.closed = true
      void end.session.close()
    }
    await this.settle()
    this.check()
  }

  #log(step: string): void {
    this.steps.push(step)
  }

  #call(party: Party, pick: (below: number) => number, one: <T>(list: readonly T[]) => T): void {
    const end = one(party.ends)
    const reachable = this.objects.filter(thing => party.valueFor(thing) !== undefined)
    const [held, target] = one([...party.heldProxies, [undefined, end.session.root]])
    const sent = Array.from({ length: pick(4) }, () => one(reachable))
    const wanted = Array.from({ length: pick(3) }, () => one(this.objects))
    const verb = one(['touch', 'give', 'give', 'later', 'throw', 'unsendable', 'nothing'])
    const bad = pick(12) === 0
    const pipelined = verb === 'give' && wanted.length > 0 && pick(3) === 0
    const number = this.calls.length
    const things = [...sent, ...wanted, ...(held ? [held] : [])]
    const home = held?.owner ?? end.peer.party
    const call = this.#begin(`${number}: ${party.name} ${held?.id ?? `root of ${home.name}`} ${verb}`, things)
    call.what += ` gives ${sent.map(({ id }) => id)} wants ${wanted.map(({ id }) => id)}${bad ? ' badly' : ''}`
    this.#log(call.what)
    if (bad || verb === 'unsendable') call.allowedErrors.add('unsendable')
    if (verb === 'throw') call.allowedErrors.add('thrown')
    if (verb === 'nothing') call.allowedErrors.add('not-exposed')
    const values = sent.map(thing => party.valueFor(thing))
    const wants = wanted.map(({ id }) => id)
    const args = [
      number,
      verb,
      wants,
      sent.map(({ id }) => id),
      wrap(pick(4), bad ? [...values, Symbol('bad')] : values)
    ]
    const proxy = target as Untyped
    const result =
      verb === 'nothing'
        ? proxy.nothing(...args)
        : held && held.kind !== 'object'
          ? proxy(...args)
          : proxy.act(...args)
    const next = pipelined ? this.#pipelineOn(call, wanted[0]!, home, result) : undefined
    this.#expectOutcome(call, result, answer => {
      if (call.runs !== 1 || bad || !['touch', 'give', 'later'].includes(verb))
        this.fail(`${call.what} succeeded`)
      if (verb === 'touch') {
        if (answer !== number) this.fail(`${call.what} gave ${answer}`)
        return
      }
      const received = answer as unknown[]
      if (next && received[0] !== null)
        for (const excuse of MISSING_MEMBER_ERRORS) next.allowedErrors.delete(excuse)
      for (const [i, thing] of wanted.entries()) {
        if (received[i] !== null) party.receive(thing, received[i], number % 3 > 0)
      }
    })
  }

  /** Makes a call on the first result of a pending call. */
  #pipelineOn(
    { what, allowedErrors, things }: ModelCall,
    thing: ModelObject,
    home: Party,
    result: Untyped
  ): ModelCall {
    const number = this.calls.length
    const next = this.#begin(`${number}: on the first of ${what}`, things)
    for (const excuse of [...MISSING_MEMBER_ERRORS, ...allowedErrors]) next.allowedErrors.add(excuse)
    this.#log(`${number}: on the first of ${number - 1}`)
    const first = thing.kind === 'member' && thing.owner === home ? result[0].member : result[0]
    const args = [number, 'touch', [], [], []]
    this.#expectOutcome(next, thing.kind === 'object' ? first.act(...args) : first(...args), answer => {
      if (next.runs !== 1 || answer !== number) this.fail(`${next.what} gave ${answer}`)
    })
    return next
  }

  #begin(what: string, things: ModelObject[]): ModelCall {
    const call = { what, allowedErrors: new Set<string>(), things, runs: 0, settled: false }
    this.calls.push(call)
    return call
  }

  /** Checks that a call settles once, and fails only for an allowed reason. */
  #expectOutcome(call: ModelCall, result: PromiseLike<unknown>, succeeded: (answer: unknown) => void): void {
    result.then(
      answer => {
        call.settled = true
        succeeded(answer)
      },
      error => {
        call.settled = true
        const code = error.code ?? error.message
        const excused =
          call.allowedErrors.has(code) ||
          (code === 'limit' && this.hasTightLimits) ||
          (code === 'closed' && this.closed) ||
          ((code === 'released' || code === 'unsendable') &&
            call.things.some(({ mayBeReleased }) => mayBeReleased))
        if (!excused) this.fail(`${call.what} failed: ${error.stack}`)
      }
    )
  }

  /** Releases a netref, by `Netref.release` or `using`; sometimes one that others still use. */
  #release(party: Party, pick: (below: number) => number, one: <T>(list: readonly T[]) => T): void {
    const free = pick(6) === 0
    const kept = party.keptAlive()
    const [thing, netref] = one(
      [...party.heldProxies].filter(([, netref]) => free || !kept.has(netref)).concat([[] as Untyped])
    )
    this.#log(`${party.name} releases ${thing?.id}`)
    if (!thing) return
    if (kept.has(netref)) thing.mayBeReleased = true
    party.heldProxies.delete(thing)
    if (pick(2) === 0) Netref.release(netref as Untyped)
    else {
      using _ = netref as Disposable
    }
  }

  /** Collects netrefs that nothing holds; their finalizers run later. */
  #collect(party: Party, pick: (below: number) => number): void {
    const kept = party.keptAlive()
    for (const netref of party.heldProxies.values()) kept.add(netref)
    for (const end of party.ends) {
      for (const [ref, netref] of end.alive) {
        if (kept.has(netref) || !ref.proxy || pick(3) === 0) continue
        this.#log(`${party.name} collects ${ref.label}`)
        markCollected(netref)
        this.#collectedProxies.push(netref)
      }
    }
  }

  async #collectReally(): Promise<void> {
    this.#log('the collector runs')
    await turn()
    gc()
    await turn()
    await turn()
  }

  #finalize(which: number): void {
    const [netref] = this.#collectedProxies.splice(which, 1)
    this.#log(`a finalizer runs${netref ? '' : ', not'}`)
    if (netref) runFinalizer(netref)
  }

  /** Delivers all frames and answers all calls. */
  async #settleAll(): Promise<void> {
    for (let busy = true; busy; ) {
      busy = false
      for (const end of this.ends) while (end.deliver()) busy = true
      for (const party of this.parties) {
        for (const { answer } of party.slowCalls) answer()
        if (party.slowCalls.length > 0) busy = true
        party.slowCalls = []
      }
      await this.settle()
      this.check()
    }
  }

  /** Settles and compares the counts; then drops everything and checks that nothing is left. */
  async finish(): Promise<void> {
    this.#log('rest')
    await this.#settleAll()
    const lost = this.calls.find(({ settled }) => !settled)
    if (lost) this.fail(`lost: ${lost.what}`)
    while (this.#collectedProxies.length > 0) this.#finalize(0)
    await this.settle()
    await this.#settleAll()
    for (const { ended, peer, session, party } of this.ends) {
      const { exports, pending } = session.stats
      if (exports !== (peer.ended ? 0 : peer.session.stats.imports))
        this.fail(`${party.name} gave ${exports} at rest`)
      if (pending > 0) this.fail(`${party.name} waits for ${pending} calls at rest`)
      if (ended !== peer.ended) this.fail(`${party.name}: one end has ended`)
    }
    this.#log('let go')
    for (const party of this.parties) party.heldProxies.clear()
    for (let i = 0; i < 12 && !this.#empty; i++) {
      for (const { session } of this.ends) session.ping().catch(() => {})
      await this.settle()
      await this.#settleAll()
      if (this.usesRealCollector) await this.#collectReally()
      else for (const party of this.parties) this.#collect(party, () => 1)
      while (this.#collectedProxies.length > 0) this.#finalize(0)
      await this.settle()
      await this.#settleAll()
    }
    if (!this.#empty) this.fail(`left: ${this.ends.map(({ session }) => JSON.stringify(session.stats))}`)
    this.closed = true
    for (const { session } of this.ends) void session.close()
    await this.settle()
    await this.#settleAll()
    this.#stopWatching()
  }

  get #empty(): boolean {
    return this.ends.every(({ session: { stats } }) => stats.exports === 0 && stats.imports === 0)
  }
}
