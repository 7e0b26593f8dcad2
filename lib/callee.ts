// Calls in: a peer's operations are carried out in the order they came, and answered.
import { type Answer, Answers } from './answers.js'
import { boxValue, type Payload } from './box.js'
import { startCall } from './call-context.js'
import type { Channel } from './caller.js'
import { LimitError, ProtocolError, Refusal, UnsendableError } from './errors.js'
import { type Exposure, type Outcome, operate } from './exposure.js'
import { keysOf, toName } from './names.js'
import type { Limits } from './options.js'
import { formatRefused, formatReply, Op, type Operation } from './protocol.js'
import { Rate } from './rate.js'
import type { References } from './references.js'
import type { Session } from './session.js'
import { Turns } from './turns.js'
import { unbox } from './unbox.js'
import { isThenable } from './values.js'

export class Callee {
  readonly answers = new Answers()
  /** The number of the peer's last call. */
  #last = 0
  #ended = false
  /** Calls whose turn it is, as what they waited for has settled. */
  readonly #ready = new Turns()
  #settling = false

  readonly #rate: Rate

  constructor(
    private readonly session: Session,
    private readonly references: References,
    private readonly channel: Channel,
    private readonly exposure: Exposure,
    private readonly limits: Limits
  ) {
    this.#rate = new Rate(limits.callsPerSecond)
  }

  /** Counts a call of the peer's. @throws ProtocolError when its number is not the next one */
  count(id: number): void {
    if (id !== ++this.#last) throw new ProtocolError(`call ${id} after call ${this.#last - 1}`)
  }

  /** Acts on one operation. @throws ProtocolError when it is not of the protocol */
  receive(message: Operation, bytes: readonly Uint8Array[]): void {
    const [op, id, target, path] = message
    this.count(id)
    const names = keysOf(path).map(toName)
    let operand: unknown
    let refusal: unknown
    try {
      operand = unbox(message[4], message[5], bytes, this.references)
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      refusal = error
    }
    const excess = this.#beyondLimits(names.length)
    if (excess) return this.fail(id, excess, false)
    if (target < 0) {
      if (-target >= id) throw new ProtocolError(`call ${id} on the answer of call ${-target}`)
      this.answers.begin(id)
      this.answers.use(-target, answer =>
        this.#inTurn(id, () => {
          if (refusal !== undefined) this.fail(id, refusal)
          else if (!answer.ok) this.fail(id, answer.error)
          else {
            const { value, self } = answer
            this.#carryOut(id, () => operate(op, value, names, operand, this.exposure, { self }), true)
          }
        })
      )
      return
    }
    const entry = this.references.exports.get(target)
    if (refusal !== undefined) this.fail(id, refusal)
    else if (!entry) this.fail(id, new Refusal('released', `#${target} was released`))
    else {
      const { object, self } = entry
      const origin = { self, isRoot: target === 0, held: true }
      this.#carryOut(id, () => operate(op, object, names, operand, this.exposure, origin))
    }
  }

  /** What a call is refused for that is one too many. */
  #beyondLimits(steps: number): Refusal | undefined {
    const { depth, pendingCalls, callsPerSecond } = this.limits
    if (steps > depth) return new Refusal('limit', `a path of more than ${depth} names (limits.depth)`)
    if (this.answers.size >= pendingCalls) {
      return new Refusal(
        'limit',
        `${pendingCalls} calls are under way (limits.pendingCalls): wait for some of them`
      )
    }
    if (this.#rate.allows()) return undefined
    return new Refusal(
      'limit',
      `more than ${callsPerSecond} calls in a second (limits.callsPerSecond): call less often`
    )
  }

  /** Carries out an operation and answers it, now or when its promise settles. Never throws. */
  #carryOut(id: number, operation: () => Outcome, begun = false): void {
    let outcome: Outcome
    let later: Promise<unknown> | undefined
    try {
      outcome = startCall(this.session, operation)
      if (isThenable(outcome.value)) later = Promise.resolve(outcome.value)
    } catch (error) {
      return this.fail(id, error)
    }
    if (!later) return this.reply(id, outcome)
    if (!begun) this.answers.begin(id)
    later.then(
      value => this.reply(id, { value }),
      error => this.fail(id, error)
    )
  }

  /** Answers with a value, and lets the calls run that wait for it. */
  reply(id: number, outcome: Outcome): void {
    if (this.#ended) return
    const { value, self } = outcome
    let frame: number
    try {
      const payload = value === undefined ? undefined : boxValue(value, 'result', this.references, self)
      frame = this.#push(formatReply(Op.result, id, payload?.json), payload)
    } catch (error) {
      return this.fail(id, refusalOf(error) ?? error)
    }
    this.#settle(id, { ok: true, value, self }, frame)
  }

  /** Answers with an error, or with a refusal, which is kept for calls that build on the answer. Never throws. */
  fail(id: number, error: unknown, kept = true): void {
    if (this.#ended) return
    let frame: number
    if (error instanceof Refusal) frame = this.#push(formatRefused(id, error.code, error.message))
    else {
      try {
        const payload = boxValue(error, 'error', this.references)
        frame = this.#push(formatReply(Op.error, id, payload.json), payload)
      } catch (failure) {
        const unsendable = new Refusal('unsendable', 'it failed with what cannot be sent')
        return this.fail(id, refusalOf(failure) ?? unsendable, kept)
      }
    }
    if (kept) this.#settle(id, { ok: false, error }, frame)
  }

  #push(message: string, payload?: Payload): number {
    try {
      return this.channel.reply(message, payload?.bytes ?? [])
    } catch (error) {
      // A message without a payload always fits.
      for (const given of payload!.given) this.references.takeBack(given)
      throw error
    }
  }

  /** Calls that wait for an answer run once all of them are known, however long their chain is: in a loop. */
  #settle(id: number, answer: Answer, frame: number): void {
    const outermost = !this.#settling
    this.#settling = true
    this.answers.settle(id, answer, frame)
    if (!outermost) return
    for (let act = this.#ready.next(); act && !this.#ended; act = this.#ready.next()) act()
    this.#settling = false
  }

  /** While answers settle, calls on them run in the order they came in, whichever answer each of them waited for. */
  #inTurn(id: number, act: () => void): void {
    if (this.#settling) this.#ready.add(id, act)
    else act()
  }

  end(): void {
    this.#ended = true
    this.answers.clear()
  }
}

/** What is said where a value or an error cannot be sent. */
function refusalOf(failure: unknown): Refusal | undefined {
  if (failure instanceof LimitError) return new Refusal('limit', failure.message)
  return failure instanceof UnsendableError ? new Refusal('unsendable', failure.message) : undefined
}
