// Calls out: what is asked of the peer, and what comes of it.
import { boxArguments, boxValue, type Payload } from './box.js'
import {
  NetrefError,
  ProtocolError,
  type Reason,
  Refusal,
  type RefusalCode,
  ReleasedError,
  refusalError,
  SessionEndedError,
  UnsendableError
} from './errors.js'
import type { Path } from './names.js'
import { Ref, type Requester } from './netref.js'
import { formatOperation, formatPing, Op, type OperationCode, type Reply } from './protocol.js'
import type { References } from './references.js'
import { Result } from './result.js'
import { unbox } from './unbox.js'

/** How messages leave. */
export interface Channel {
  /**
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  push(message: string, bytes: readonly Uint8Array[]): number
  /** The same for what is owed to the peer: it is not read from while it leaves too much of that unread. */
  reply(message: string, bytes: readonly Uint8Array[]): number
}

export class Caller {
  readonly #pending = new Map<number, Result>()
  /** The number of our last call. */
  #last = 0
  #ended: Reason | undefined

  constructor(
    private readonly session: Requester,
    private readonly references: References,
    private readonly channel: Channel
  ) {}

  /** Calls that wait for their answer. */
  get pending(): number {
    return this.#pending.size
  }

  /** Sends one operation. Never throws: what goes wrong rejects the result. */
  request(op: OperationCode, base: Ref | Result, path: Path, operand: unknown): Result {
    const result = new Result(this.session, op, base, path, operand)
    let payload: Payload | undefined
    try {
      if (this.#ended) throw new SessionEndedError(this.#ended)
      if (base instanceof Ref && base.released)
        throw new ReleasedError('released', `${base.label} was released`)
      payload = this.#box(op, operand)
      // An accessor of a user's may have ended the session in the midst.
      if (this.#ended) throw new SessionEndedError(this.#ended)
      const target = base instanceof Ref ? base.id : -base.id
      const message = formatOperation(op, this.#last + 1, target, path, payload?.json)
      this.#send(result, message, payload?.bytes ?? [])
    } catch (error) {
      for (const given of payload?.given ?? []) this.references.takeBack(given)
      const ours = error instanceof UnsendableError || error instanceof NetrefError
      if (ours) error.message = `${result.label}: ${error.message}`
      result.reject(error, ours)
    }
    return result
  }

  #box(op: OperationCode, operand: unknown): Payload | undefined {
    if (op === Op.call || op === Op.construct) return boxArguments(operand as unknown[], this.references)
    return op === Op.set ? boxValue(operand, 'value', this.references) : undefined
  }

  /** Asks for a sign of life. @throws SessionEndedError */
  async ping(root: Ref): Promise<void> {
    if (this.#ended) throw new SessionEndedError(this.#ended, 'ping()')
    const result = new Result(this.session, Op.get, root, 'ping()', undefined)
    this.#send(result, formatPing(this.#last + 1), [])
    await result.settled()
  }

  #send(result: Result, message: string, bytes: readonly Uint8Array[]): void {
    this.channel.push(message, bytes)
    result.id = ++this.#last
    this.#pending.set(result.id, result)
  }

  /** The peer answered. @throws ProtocolError for a reply to a call that does not wait for one, or none at all */
  settle([op, id, json, groups]: Reply, bytes: readonly Uint8Array[]): void {
    const result = this.#waiting(id)
    let value: unknown
    try {
      value = unbox(json, groups, bytes, this.references)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return this.refuse(id, error.code, error.message)
    }
    this.#pending.delete(id)
    if (op === Op.result) result.fulfil(value)
    else result.reject(value, true)
  }

  /** The peer refused. @throws ProtocolError for a reply to a call that does not wait for one */
  refuse(id: number, code: RefusalCode, text: string): void {
    const result = this.#waiting(id)
    this.#pending.delete(id)
    result.reject(refusalError(code, result.label, text), true)
  }

  /** The call waits until its reply is read: a reply that is none ends the session, and the call with it. */
  #waiting(id: number): Result {
    const result = this.#pending.get(id)
    if (!result) throw new ProtocolError(`a reply to call ${id}, which does not wait for one`)
    return result
  }

  /** The session has ended: every call that waits rejects, and so does every later one. */
  end(reason: Reason): void {
    this.#ended = reason
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    for (const result of waiting) result.reject(new SessionEndedError(reason, result.label), true)
  }
}
