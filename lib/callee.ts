// Calls in: a peer's operations are carried out in the order they came, and answered.
import { type Answer, Answers } from './answers.js'
import { boxValue, type Payload } from './box.js'
import { startCall } from './call-context.js'
import { LimitError, ProtocolError, Refusal, UnsendableError } from './errors.js'
import { type Exposure, type Outcome, operate } from './exposure.js'
import { formatRefused, formatReply, keysOf, Op, type Operation, toName } from './protocol.js'
import type { References } from './references.js'
import type { Session } from './session.js'
import { unbox } from './unbox.js'
import { isThenable } from './values.js'

/** How replies leave. */
export interface ReplyChannel {
  /** The number of the frame the next message will be in. */
  readonly nextFrame: number
  /** @throws LimitError for more than the peer takes; nothing is sent then. */
  push(message: string, bytes: readonly Uint8Array[]): void
}

export class Callee {
  readonly answers = new Answers()
  /** The number of the peer's last call. */
  #last = 0
  #ended = false

  constructor(
    private readonly session: Session,
    private readonly references: References,
    private readonly channel: ReplyChannel,
    private readonly exposure: Exposure
  ) {}

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
    if (target < 0) {
      if (-target >= id) throw new ProtocolError(`call ${id} on the answer of call ${-target}`)
      this.answers.use(-target, answer => {
        if (refusal !== undefined) this.fail(id, refusal)
        else if (!answer.ok) this.fail(id, answer.error)
        else this.#carryOut(id, () => operate(op, answer.value, names, operand, this.exposure, answer))
      })
      return
    }
    const entry = this.references.exports.get(target)
    if (refusal !== undefined) this.fail(id, refusal)
    else if (!entry) this.fail(id, new Refusal('released', `#${target} was released`))
    else {
      const holder = { self: entry.self, isRoot: target === 0 }
      this.#carryOut(id, () => operate(op, entry.object, names, operand, this.exposure, holder))
    }
  }

  #carryOut(id: number, operation: () => Outcome): void {
    let outcome: Outcome
    try {
      outcome = startCall(this.session, operation)
      if (!isThenable(outcome.value)) return this.reply(id, outcome)
    } catch (error) {
      return this.fail(id, error)
    }
    this.answers.begin(id)
    Promise.resolve(outcome.value).then(
      value => this.reply(id, { value }),
      error => this.fail(id, error)
    )
  }

  /** Answers with a value, and lets the calls run that wait for it. */
  reply(id: number, outcome: Outcome): void {
    if (this.#ended) return
    const { value, self } = outcome
    try {
      const payload = value === undefined ? undefined : boxValue(value, 'result', this.references, self)
      this.#push(formatReply(Op.result, id, payload?.json), payload)
    } catch (error) {
      return this.fail(
        id,
        error instanceof UnsendableError ? new Refusal('unsendable', error.message) : error
      )
    }
    this.#settle(id, { ok: true, value, self })
  }

  /** Answers with an error, or with a refusal. */
  fail(id: number, error: unknown): void {
    if (this.#ended) return
    if (error instanceof Refusal) this.channel.push(formatRefused(id, error.code, error.message), [])
    else {
      try {
        const payload = boxValue(error, 'error', this.references)
        this.#push(formatReply(Op.error, id, payload.json), payload)
      } catch (failure) {
        return this.fail(id, unsendableError(failure))
      }
    }
    this.#settle(id, { ok: false, error })
  }

  #push(message: string, payload: Payload | undefined): void {
    try {
      this.channel.push(message, payload?.bytes ?? [])
    } catch (error) {
      for (const given of payload?.given ?? []) this.references.takeBack(given)
      throw error
    }
  }

  #settle(id: number, answer: Answer): void {
    this.answers.settle(id, answer, this.channel.nextFrame)
  }

  end(): void {
    this.#ended = true
    this.answers.clear()
  }
}

/** What is said instead of an error or a value that cannot be sent. */
function unsendableError(failure: unknown): Refusal {
  if (failure instanceof LimitError) return new Refusal('limit', failure.message)
  return new Refusal(
    'unsendable',
    `it failed with what cannot be sent: ${failure instanceof Error ? failure.message : '?'}`
  )
}
