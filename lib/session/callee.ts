// Calls in: a peer's operations are carried out in the order they came, and answered.

import type { Exposure } from '../access/access-control.js'
import { NO_CALL, type ReportingSession, startCall } from '../access/call-context.js'
import { refusalKind } from '../access/decision.js'
import { type Outcome, operate } from '../access/operations.js'
import { askerOf, policed } from '../access/policy.js'
import { isReference, unbox } from '../codec/decode.js'
import { silenceAll, unsend } from '../codec/dispose.js'
import { boxValue } from '../codec/encode.js'
import { grantOf } from '../codec/grants.js'
import type { Payload } from '../codec/types.js'
import { LEAST, Weights, weightOfGroups } from '../codec/weight.js'
import { ProtocolError, type Reason, Refusal, refusalError, refusalOf, writeDown } from '../errors.js'
import type { Channel } from '../protocol/channel.js'
import { formatPath, labelOf } from '../protocol/format.js'
import { type Limits, MOST_KEPT } from '../protocol/limits.js'
import {
  type Cancel,
  formatRefused,
  formatReply,
  type Groups,
  Op,
  type Operation,
  type Target
} from '../protocol/messages.js'
import { keysOf, type Path, toName } from '../protocol/path.js'
import type { Delivery } from '../remote/delivery.js'
import type { References } from '../remote/references.js'
import { apart, type Context } from '../util/contexts.js'
import { SparseMap } from '../util/lazy-map.js'
import { Turns } from '../util/ordered-tasks.js'
import { isThenable } from '../util/promises.js'
import { type Rate, rateOf } from '../util/rate-limiter.js'
import { type Answer, Answers } from './answers.js'
import { CallSignals } from './call-signals.js'
import { Witness } from './diagnostics.js'
import type { KeyedCalls } from './idempotency.js'
import type { Settings } from './options.js'
import { tracing } from './tracing.js'

const READY: Answer = { ok: true, value: undefined }

export class Callee {
  /** The peer's calls with a key, where they mean something. */
  keyed: KeyedCalls | undefined
  readonly answers: Answers
  /** What the message weighs that is being acted on, if one is: the switchboard sets it. */
  weigh!: () => number
  /** The number of the peer's last call. */
  #last = 0
  #ended = false
  /** Calls whose turn it is, as what they waited for has settled. */
  readonly #ready = new Turns()
  /** How many calls came that wait: for an answer that they build on, or for the service. */
  #order = 0
  /** What those of them do that still wait. */
  readonly #waiting = new SparseMap<number, (answer: Answer) => void>()
  readonly #weights = new Weights()
  /** Calls under way that nobody waits for: of what. */
  readonly #oneWays = new SparseMap<number, readonly [Target, Path]>()
  #lastOneWay = 0
  /** Those that wait for the service, where it is not ready. */
  #postponed: (() => void)[] | undefined
  readonly #signals = new CallSignals()
  readonly #rate: Rate | undefined
  readonly #operate: typeof operate
  #weak: WeakRef<Callee> | undefined
  readonly #witness: Witness

  constructor(
    readonly session: ReportingSession,
    private readonly references: References,
    private readonly channel: Channel,
    private readonly exposure: Exposure,
    private readonly limits: Limits,
    /** Told of failures and refusals of calls that nobody waits for. */
    private readonly told: Pick<Settings, 'onError' | 'refusals'>
  ) {
    this.answers = new Answers(limits.bufferedBytes)
    this.#operate = policed(operate, session, exposure)
    references.flows.ask = askerOf(session, exposure)
    references.flows.start = run => startCall(this, NO_CALL, run)
    this.#rate = rateOf(limits.callsPerSecond)
    this.#witness = new Witness(session, 'in')
  }

  /** Calls of the peer's so far, pings included. */
  get calls(): number {
    return this.#last - this.#lastOneWay
  }

  /** About what is held for calls of the peer's that are under way, in bytes. */
  get weight(): number {
    return this.#weights.total
  }

  /** Whether calls go on in a later turn of the event loop: until then no other one may start. */
  get behind(): boolean {
    return this.#ready.behind
  }

  /** Counts a call of the peer's. @throws ProtocolError when its number is not the next one */
  count(id: number): void {
    if (id !== ++this.#last) throw new ProtocolError(`call ${id} after call ${this.#last - 1}`)
  }

  /**
   * Acts on one operation, made in the span `parent`; `again` says that it may have been carried out
   * before, `key` under what name it is to be carried out once.
   *
   * @throws ProtocolError when it is not of the protocol
   */
  receive(
    message: Operation,
    bytes: readonly Uint8Array[],
    parent?: string,
    again = false,
    key?: string
  ): void {
    const [op, , target, path] = message
    const id = op === Op.oneway ? this.#countOneWay(target, path) : message[1]
    if (id > 0) this.count(id)
    this.#receive(id, message, bytes, parent, again, key)
    if (this.answers.awaits(id) || this.#oneWays.has(id)) this.#hold(id, message[5])
  }

  #hold(id: number, groups: Groups | undefined): void {
    this.#weights.hold(id, this.weigh() + weightOfGroups(groups))
  }

  #receive(
    id: number,
    message: Operation,
    bytes: readonly Uint8Array[],
    parent: string | undefined,
    again: boolean,
    key: string | undefined
  ): void {
    const [op, , target, path] = message
    const { flows, exports } = this.references
    const keys = keysOf(path)
    // As it came: what is read of it takes its place.
    const asked = key !== undefined && this.keyed ? JSON.stringify([op, message[4], message[5]]) : ''
    let operand: unknown
    let refusal: unknown
    try {
      operand = unbox(message[4], message[5], bytes, this.references)
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      refusal = error
    }
    const delivery = this.references.delivered()
    this.#signals.hold(id, delivery)
    const excess = this.#beyondLimits(id, keys.length)
    if (excess) return this.fail(id, excess, false)
    if (this.#witness.wanted) this.#witness.called(id, op, labelOf(target) + formatPath(path), operand)
    const names = keys.map(toName)
    if (target < 0) {
      if (-target > this.#last || -target === id)
        throw new ProtocolError(`a call on the answer of call ${-target}, which was not made`)
      if (again) throw new ProtocolError('a call made again on an answer')
      const build = (answer: Answer, begun: boolean) => {
        if (refusal !== undefined) return this.fail(id, refusal)
        if (!answer.ok) return this.fail(id, answer.error)
        const { value, self } = answer
        const origin = { self, called: true, delivery }
        const operation = () => this.#operate(op, value, names, operand, this.exposure, origin)
        this.#carryOut(id, operation, parent, begun)
      }
      const known = this.answers.known(-target)
      if (known) return build(known, false)
      const later = (answer: Answer) => build(answer, true)
      return this.#wait(id, later, arrived => this.answers.use(-target, arrived))
    }
    const entry = exports.get(target)
    if (refusal !== undefined) this.fail(id, refusal)
    else if (!entry) this.fail(id, new Refusal('released', `#${target} was released`))
    else if (op === Op.drive) {
      const { object, context } = entry
      const driven = () => ({ value: flows.drive(target, object, path as string, operand, delivery) })
      this.#begin(id, target, driven, parent, context)
    } else if (flows.has(target) && !grantOf(entry.object)) {
      this.fail(id, new Refusal('not-exposed', `#${target} has a flow of its own, and no members`))
    } else if (key !== undefined && this.keyed) {
      if (bytes.length > 0 || message[5]?.some(([kind]) => isReference(kind)))
        return this.fail(id, new Refusal('unreadable', 'a call with a key takes data only'))
      const { keyed } = this
      const run = (again: boolean) => {
        const origin = { isRoot: true, held: true, called: true, again }
        const started = () => this.#operate(op, entry.object, names, operand, this.exposure, origin)
        return this.#start(id, started, parent).value
      }
      const once = () => ({ value: keyed.once(key, { path: keys, operation: asked, again }, run) })
      this.#begin(id, target, once, parent)
    } else {
      const { object, self, context } = entry
      const origin = { self, isRoot: target === 0, held: true, called: true, again, delivery }
      const operation = () => this.#operate(op, object, names, operand, this.exposure, origin)
      this.#begin(id, target, operation, parent, context)
    }
  }

  /** What is asked of the root is carried out when the service is ready. */
  #begin(
    id: number,
    target: Target,
    operation: () => Outcome,
    parent: string | undefined,
    context?: Context
  ): void {
    const postponed = target === 0 ? this.#postponed : undefined
    if (!postponed) return this.#carryOut(id, operation, parent, false, context)
    const later = () => this.#carryOut(id, operation, parent, true)
    this.#wait(id, later, arrived => postponed.push(() => arrived(READY)))
  }

  /** The call is carried out when `ask` is told so, in the order in which calls came, unless it is given up by then. */
  #wait(
    id: number,
    carryOut: (answer: Answer) => void,
    ask: (arrived: (answer: Answer) => void) => void
  ): void {
    if (id > 0) this.answers.begin(id)
    this.#waiting.set(id, carryOut)
    const order = ++this.#order
    ask(answer =>
      this.#ready.add(order, () => {
        const wanted = this.#waiting.get(id)
        this.#waiting.delete(id)
        if (wanted) apart(() => wanted(answer))
        else this.fail(id, new DOMException('it was given up', 'AbortError'))
      })
    )
  }

  /** What is asked of the root waits from now on, as the service is not ready. @returns what lets it run */
  postpone(): () => void {
    const postponed: (() => void)[] = []
    this.#postponed = postponed
    return () => {
      this.#postponed = undefined
      for (const arrived of postponed) arrived()
      this.#ready.take()
    }
  }

  /** A call without an answer has a number of its own, below zero. */
  #countOneWay(target: Target, path: Path): number {
    const id = --this.#lastOneWay
    this.#oneWays.set(id, [target, path])
    return id
  }

  #labelOf(oneWay: number): string {
    const [target, path] = this.#oneWays.get(oneWay)!
    return `${labelOf(target)}${formatPath(path)}()`
  }

  /**
   * The caller waits no longer.
   *
   * @returns whether somebody has the reason
   * @throws ProtocolError for a call that was not made
   */
  cancel([, id, , groups]: Cancel, reason: unknown, byReference: boolean): boolean {
    if (id > this.#last) throw new ProtocolError(`the end of call ${id}, which was not made`)
    if (this.#waiting.delete(id)) {
      this.#letGo(id)?.over()
      return false
    }
    if (!this.answers.awaits(id)) return false
    // A reason that is one too many is not kept.
    const kept = this.weight <= MOST_KEPT * this.limits.bufferedBytes
    const told = this.#signals.abort(id, kept ? reason : undefined, byReference) && kept
    if (told) this.#hold(id, groups)
    return told
  }

  get weak(): WeakRef<Callee> {
    this.#weak ??= new WeakRef(this)
    return this.#weak
  }

  /** A signal for a call that is under way. */
  signalOf(id: number): AbortSignal {
    return this.#signals.of(id)
  }

  /** Whether the call was answered. With the session none is, though they end. */
  isOver(id: number): boolean {
    return !(this.#ended || this.answers.awaits(id) || this.#oneWays.has(id))
  }

  /** The call is over. @returns what came with it */
  #letGo(id: number): Delivery | undefined {
    if (this.#weights.total > 0) this.#weights.free(id)
    return this.#signals.over(id)
  }

  /** What a call is refused for that is one too many. */
  #beyondLimits(id: number, steps: number): Refusal | undefined {
    const { depth, pendingCalls, callsPerSecond, bufferedBytes } = this.limits
    if (steps > depth)
      return new Refusal('limit', `a path of more than ${depth} names (limits.depth): await what is half way`)
    const others = this.answers.size + this.#oneWays.size - (id < 0 ? 1 : 0)
    if (others >= pendingCalls) {
      return new Refusal(
        'limit',
        `${pendingCalls} calls are under way (limits.pendingCalls): wait for some of them`
      )
    }
    if (this.weight > MOST_KEPT * bufferedBytes) {
      return new Refusal(
        'limit',
        `calls under way were given more than ${MOST_KEPT * bufferedBytes} bytes (limits.bufferedBytes): wait for some of them`
      )
    }
    if (this.#rate?.allows() ?? true) return undefined
    return new Refusal(
      'limit',
      `more than ${callsPerSecond} calls in a second (limits.callsPerSecond): call less often`
    )
  }

  #start(id: number, operation: () => Outcome, parent: string | undefined, context?: Context): Outcome {
    const start = () => startCall(this, id, operation)
    /* c8 ignore next: where specs run, tracing is installed. */
    const traced = tracing ? () => tracing!.within(parent, start) : start
    return context ? context.apart(traced) : traced()
  }

  /** Carries out an operation and answers it, now or when its promise settles. Never throws. */
  #carryOut(
    id: number,
    operation: () => Outcome,
    parent: string | undefined,
    begun = false,
    context?: Context
  ): void {
    let outcome: Outcome
    let later: Promise<unknown> | undefined
    try {
      outcome = this.#start(id, operation, parent, context)
      if (isThenable(outcome.value)) later = Promise.resolve(outcome.value)
    } catch (error) {
      return this.fail(id, error)
    }
    if (!later) return this.reply(id, outcome)
    if (!begun && id > 0) this.answers.begin(id)
    later.then(
      value => this.reply(id, { value }),
      error => this.fail(id, error)
    )
  }

  /** Answers with a value, and lets the calls run that wait for it. */
  reply(id: number, outcome: Outcome): void {
    if (this.#ended) return this.references.letGo(outcome.value)
    const delivery = this.#letGo(id)
    this.#reply(id, outcome)
    delivery?.over(id > 0)
  }

  #reply(id: number, { value, self }: Outcome): void {
    if (id < 0) {
      this.references.letGo(value)
      this.#witness.replied(id, true, value)
      return void this.#oneWays.delete(id)
    }
    let frame: number
    let payload: Payload | undefined
    try {
      payload = value === undefined ? undefined : boxValue(value, 'result', this.references, self)
      frame = this.#push(formatReply(Op.result, id, payload?.json), payload)
    } catch (error) {
      return this.fail(id, refusalOf(error) ?? error)
    }
    this.#witness.replied(id, true, value)
    this.#settle(id, { ok: true, value, self }, frame, payload?.json)
  }

  /** Answers with an error, or with a refusal, which is kept for calls that build on the answer. Never throws. */
  fail(id: number, error: unknown, kept = true): void {
    if (this.#ended) return this.references.letGo(error)
    if (kept && (this.#weights.of(id) ?? this.weigh()) > LEAST) writeDown(error)
    const delivery = this.#letGo(id)
    this.#fail(id, error, kept)
    delivery?.over(id > 0)
  }

  #fail(id: number, error: unknown, kept: boolean): void {
    if (id < 0) {
      silenceAll(error)
      this.#tell(error, this.#labelOf(id))
      this.#witness.replied(id, false, error)
      return void this.#oneWays.delete(id)
    }
    let frame: number
    let payload: Payload | undefined
    if (error instanceof Refusal) frame = this.channel.owe(formatRefused(id, error.code, error.message), [])
    else {
      try {
        payload = boxValue(error, 'error', this.references)
        frame = this.#push(formatReply(Op.error, id, payload.json), payload)
      } catch (failure) {
        const unsendable = new Refusal('unsendable', 'it failed with what cannot be sent')
        return this.fail(id, refusalOf(failure) ?? unsendable, kept)
      }
    }
    this.#witness.replied(id, false, error)
    if (kept) this.#settle(id, { ok: false, error }, frame, payload?.json)
  }

  /** Tells of a one-way call that failed or was refused. */
  #tell(error: unknown, call: string): void {
    const { onError, refusals } = this.told
    const context = { session: this.session, call }
    const told = error instanceof Refusal ? refusalError(error.code, call, error.message) : error
    const kind = refusalKind(error)
    if (kind === undefined) onError(told, context)
    else refusals.tell(kind, told, context)
  }

  #push(message: string, payload?: Payload): number {
    try {
      return this.channel.reply(message, payload?.bytes ?? [])
    } catch (error) {
      // A message without a payload always fits.
      unsend(payload!, this.references)
      throw error
    }
  }

  /** Calls that wait for an answer run once all of them are known. */
  #settle(id: number, answer: Answer, frame: number, json?: string): void {
    this.answers.settle(id, answer, frame, json)
    this.#ready.take()
  }

  end(reason: Reason): void {
    this.#ended = true
    this.#witness.end()
    this.#ready.clear()
    this.answers.clear()
    this.#waiting.clear()
    this.#weights.clear()
    this.#oneWays.clear()
    this.#signals.end(reason)
  }
}
