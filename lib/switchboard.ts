// Whose turn it is for each message of the peer: they are acted on one after the other, and the first is its hello.
import type { Callee } from './callee.js'
import type { Caller } from './caller.js'
import { apart, Context } from './contexts.js'
import { ProtocolError, Refusal, reasonOf } from './errors.js'
import type { Frame } from './frame.js'
import { parseMessage } from './parser.js'
import { type Cancel, type Message, Op, type Operation } from './protocol.js'
import type { References } from './references.js'
import type { Session } from './session.js'
import { unbox } from './unbox.js'

const NO_BYTES: readonly Uint8Array[] = []

export class Switchboard {
  /** Whether the peer has said hello. */
  greeted = false
  #unaccounted = 0
  /** In which the session was made: that of a transport may be that of whoever sends, in the same process. */
  readonly #context = new Context()

  constructor(
    private readonly session: Session,
    private readonly references: References,
    private readonly caller: Caller,
    private readonly callee: Callee,
    /** How many values a message may have in groups. */
    private readonly values: number
  ) {}

  /**
   * Acts on the messages of a frame of that size, beginning with number `from`, as long as it may go on. Never throws.
   *
   * @returns the number of the first message not acted on
   */
  receive(messages: readonly unknown[], bytes: Frame['bytes'], from: number, size: number): number {
    if (from === 0) this.#unaccounted = size
    return this.#context.run(() => this.#receive(messages, bytes, from))
  }

  #receive(messages: readonly unknown[], bytes: Frame['bytes'], from: number): number {
    const { receiver } = this.session.link
    let i = from
    try {
      while (i < messages.length && receiver.mayGoOn && !this.callee.behind) {
        const message = parseMessage(messages[i], this.values)
        const ranges = bytes.get(i) ?? NO_BYTES
        // A result runs nothing of a user's at once.
        if (message[0] === Op.result) this.#dispatch(message, ranges)
        else apart(() => this.#dispatch(message, ranges))
        i++
      }
    } catch (error) {
      this.session.end(reasonOf(error))
    }
    return i
  }

  /** The size of the frame that is being acted on, once. */
  #takeSize(): number {
    const size = this.#unaccounted
    this.#unaccounted = 0
    return size
  }

  #dispatch(message: Message, bytes: readonly Uint8Array[], key?: string): void {
    if ((message[0] === Op.hello) === this.greeted) throw new ProtocolError('its hello out of turn')
    switch (message[0]) {
      case Op.hello:
        return this.session.begin(message)
      case Op.result:
      case Op.error:
        return this.caller.settle(message, bytes)
      case Op.refused:
        return this.caller.refuse(message[1], message[2], message[3])
      case Op.release:
        return this.references.released(message.slice(1))
      case Op.cancel:
        return this.#cancel(message, bytes)
      case Op.pull:
      case Op.items:
      case Op.ended:
        return this.references.flows.receive(message, bytes, message[0] === Op.items ? this.#takeSize() : 0)
      case Op.traced: {
        const [, parent, ...operation] = message
        return this.callee.receive(operation, bytes, parent, false, key)
      }
      case Op.ping:
        this.callee.count(message[1])
        return this.callee.reply(message[1], { value: undefined })
      case Op.again:
        return this.callee.receive(message.slice(1) as unknown as Operation, bytes, undefined, true, key)
      case Op.keyed: {
        const [, name, ...keyed] = message
        return this.#dispatch(keyed as Message, bytes, name)
      }
      default:
        return this.callee.receive(message, bytes, undefined, false, key)
    }
  }

  #cancel([, id, json, groups]: Cancel, bytes: readonly Uint8Array[]): void {
    let reason: unknown
    try {
      reason = unbox(json, groups, bytes, this.references)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
    }
    const { flows } = this.references
    flows.letGo(flows.takeFresh())
    this.callee.cancel(id, reason)
  }
}
