// Dispatches the messages of the peer, one after the other. The first one must be its hello.

import { decode, discardReferences } from '../codec/decode.js'
import { estimateMessages, type MessageSize } from '../codec/memory-estimate.js'
import { CallRejection, ProtocolError, type Reason, reasonForError } from '../errors.js'
import { sizeOfRanges } from '../link/frame-builder.js'
import { type Frame, NO_BYTES } from '../protocol/frame.js'
import { type Cancel, type Hello, type Message, Op, type StreamMessage } from '../protocol/messages.js'
import { parseMessage } from '../protocol/parse-message.js'
import type { References } from '../remote/references.js'
import { ContextSnapshot, runIsolated } from '../util/async-context.js'
import { unwrapOperation } from './call-request.js'
import type { Callee } from './callee.js'
import type { Caller } from './caller.js'

const NO_WEIGHT: MessageSize = { characters: 0, bytes: 0 }

/** The session of a dispatcher. */
export interface DispatchTarget {
  /** Whether more messages of the frame may be processed in this turn of the event loop. */
  readonly mayContinue: boolean
  /** The peer has sent its hello. @throws ProtocolError if the two sides are incompatible */
  begin(hello: Hello): void
  /** The peer goes away, or answers that it has moved. @throws ProtocolError if it is not its turn */
  receiveLeaving(ms: number | undefined): void
  /** Ends the session, for the first reason given. */
  end(reason: Reason): void
}

export class Dispatcher {
  /** Whether the peer has sent its hello. */
  helloReceived = false
  /** The frame that is being processed. The sizes of its messages are estimated on demand: most calls end at once. */
  #frame: Frame | undefined
  #index = 0
  #messageWeights: readonly MessageSize[] | undefined
  /** The context in which the session was created. A transport in the same process may have the sender's context. */
  readonly #context = new ContextSnapshot()

  constructor(
    private readonly session: DispatchTarget,
    private readonly references: References,
    private readonly caller: Caller,
    private readonly callee: Callee,
    /** Maximum number of tagged values in a message. */
    private readonly maxTaggedValues: number
  ) {
    callee.messageBytes = () => this.#messageWeight.bytes + sizeOfRanges(this.#messageRanges())
  }

  /**
   * Processes the messages of a frame in order, from index `from` on, as long as it may continue. Does not throw.
   *
   * @returns the index of the first message not processed
   */
  receive(frame: Frame, from: number): number {
    this.#frame = frame
    this.#index = from
    this.#context.run(this.#receive, frame)
    this.#frame = this.#messageWeights = undefined
    return this.#index
  }

  readonly #receive = ({ messages }: Frame): void => {
    try {
      while (this.#index < messages.length && this.session.mayContinue && !this.callee.deferred.isBehind) {
        const message = parseMessage(messages[this.#index], this.maxTaggedValues)
        const ranges = this.#messageRanges()
        // A result of plain JSON does not run user code at once; others may run the `decode` of a registered type.
        if (message[0] === Op.result && !message[3]) this.#dispatch(message, ranges)
        else runIsolated(this.#dispatch, message, ranges)
        this.#index++
      }
    } catch (error) {
      this.session.end(reasonForError(error))
    }
  }

  /** The peer's operations on the root wait from now on. @returns a function that runs them */
  deferRootCalls(): () => void {
    const runDeferred = this.callee.deferred.awaitService()
    return () => this.#context.run(runDeferred)
  }

  /** Estimated size of the message that is being processed. */
  get #messageWeight(): MessageSize {
    if (!this.#frame) return NO_WEIGHT
    this.#messageWeights ??= estimateMessages(this.#frame.json)
    return this.#messageWeights[this.#index]!
  }

  #messageRanges(): readonly Uint8Array[] {
    return this.#frame?.bytes.get(this.#index) ?? NO_BYTES
  }

  /** Size of the message that is being processed, with its bytes. */
  get #messageSize(): number {
    const { messages, sizeBytes } = this.#frame!
    return messages.length === 1
      ? sizeBytes
      : this.#messageWeight.characters + sizeOfRanges(this.#messageRanges())
  }

  readonly #dispatch = (message: Message, bytes: readonly Uint8Array[]): void => {
    if ((message[0] === Op.hello) === this.helloReceived)
      throw new ProtocolError('a second hello, or another message before the hello')
    switch (message[0]) {
      case Op.hello:
        return this.session.begin(message)
      case Op.result:
      case Op.error:
        return this.caller.settle(message, bytes)
      case Op.refused:
        return this.caller.settleRejected(message[1], message[2], message[3])
      case Op.release:
        return this.references.handleRelease(message.slice(1))
      case Op.cancel:
        return this.#cancel(message, bytes)
      case Op.leaving:
        return this.session.receiveLeaving(message[1])
      case Op.pull:
      case Op.items:
      case Op.ended:
        return this.#receiveStreamMessage(message, bytes)
      case Op.ping:
        return this.callee.ping(message[1])
      case Op.traced:
      case Op.retry:
      case Op.idempotent: {
        const [operation, modifiers] = unwrapOperation(message)
        return this.callee.receive(operation, bytes, modifiers)
      }
      default:
        return this.callee.receive(message, bytes)
    }
  }

  #receiveStreamMessage(message: StreamMessage, bytes: readonly Uint8Array[]): void {
    const { streams } = this.references
    if (streams) return streams.receive(message, bytes, message[0] === Op.pull ? 0 : this.#messageSize)
    if (message[0] === Op.pull) throw new ProtocolError(`a pull on ${message[1]}, which has no items`)
    // The end of a promise or signal that was not read, sent before its release arrived.
    discardReferences(message[3], message[4], this.references)
  }

  #cancel(message: Cancel, bytes: readonly Uint8Array[]): void {
    const [, , json, annotations] = message
    let reason: unknown
    try {
      reason = decode(json, annotations, bytes, this.references)
    } catch (error) {
      if (!(error instanceof CallRejection)) throw error
    }
    const delivery = this.references.takeReceived()
    if (this.callee.cancel(message, reason, delivery !== undefined)) delivery?.releaseOutcomes()
    else delivery?.endCall()
  }
}
