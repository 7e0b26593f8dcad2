// Whose turn it is for each message of the peer: they are acted on one after the other, and the first is its hello.

import { unbox } from '../codec/decode.js'
import { type Weighed, weighMessages } from '../codec/weight.js'
import type { Reason } from '../errors.js'
import { ProtocolError, Refusal, reasonOf } from '../errors.js'
import { sizeOf } from '../link/frame-builder.js'
import type { Frame } from '../protocol/frame.js'
import type { Hello } from '../protocol/messages.js'
import { type Cancel, type Message, Op, type Operation } from '../protocol/messages.js'
import { parseMessage } from '../protocol/parse-message.js'
import type { References } from '../remote/references.js'
import { apart, Context } from '../util/contexts.js'
import type { Callee } from './callee.js'
import type { Caller } from './caller.js'

const NO_BYTES: readonly Uint8Array[] = []
const NOTHING: Weighed = { length: 0, weight: 0 }

/** What a dispatcher needs of its session. */
export interface DispatchTarget {
  /** Whether further messages of the frame may be acted on in this turn of the event loop. */
  readonly mayGoOn: boolean
  /** The peer has said hello. @throws ProtocolError where the two do not go together */
  begin(hello: Hello): void
  /** Ends the session, for the first reason given. */
  end(reason: Reason): void
}

export class Switchboard {
  /** Whether the peer has said hello. */
  greeted = false
  /** What is being acted on, and what its messages weigh, where one was asked for: most are over at once. */
  #frame: Frame | undefined
  #index = 0
  #weighed: readonly Weighed[] | undefined
  /** In which the session was made: that of a transport may be that of whoever sends, in the same process. */
  readonly #context = new Context()

  constructor(
    private readonly session: DispatchTarget,
    private readonly references: References,
    private readonly caller: Caller,
    private readonly callee: Callee,
    /** How many values a message may have in groups. */
    private readonly values: number
  ) {
    callee.weigh = () => this.#present.weight + sizeOf(this.#ranges)
  }

  /**
   * Acts on the messages of a frame, beginning with number `from`, as long as it may go on. Never throws.
   *
   * @returns the number of the first message not acted on
   */
  receive(frame: Frame, from: number): number {
    this.#frame = frame
    this.#index = from
    this.#context.run(() => this.#receive(frame))
    this.#frame = this.#weighed = undefined
    return this.#index
  }

  #receive({ messages }: Frame): void {
    try {
      while (this.#index < messages.length && this.session.mayGoOn && !this.callee.behind) {
        const message = parseMessage(messages[this.#index], this.values)
        const ranges = this.#ranges
        // A result runs nothing of a user's at once.
        if (message[0] === Op.result) this.#dispatch(message, ranges)
        else apart(() => this.#dispatch(message, ranges))
        this.#index++
      }
    } catch (error) {
      this.session.end(reasonOf(error))
    }
  }

  /** What the peer asks of the root waits from now on. @returns what lets it run */
  postpone(): () => void {
    const goOn = this.callee.postpone()
    return () => this.#context.run(goOn)
  }

  /** The message that is being acted on. */
  get #present(): Weighed {
    if (!this.#frame) return NOTHING
    this.#weighed ??= weighMessages(this.#frame.text)
    return this.#weighed[this.#index]!
  }

  get #ranges(): readonly Uint8Array[] {
    return this.#frame?.bytes.get(this.#index) ?? NO_BYTES
  }

  /** How large it is with its bytes. */
  get #size(): number {
    const { messages, size } = this.#frame!
    return messages.length === 1 ? size : this.#present.length + sizeOf(this.#ranges)
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
        return this.references.flows.receive(message, bytes, message[0] === Op.pull ? 0 : this.#size)
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

  #cancel(message: Cancel, bytes: readonly Uint8Array[]): void {
    const [, , json, groups] = message
    let reason: unknown
    try {
      reason = unbox(json, groups, bytes, this.references)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
    }
    const delivery = this.references.delivered()
    if (this.callee.cancel(message, reason, delivery !== undefined)) delivery?.letGo()
    else delivery?.over()
  }
}
