// Performs the requests of a client of Pyro on the objects of a session, and makes the replies.

import { Netref } from '../../index.js'
import type { GatewayClient } from '../../server/gateway.js'
import { callFailureOf, RefusedCallError } from '../support/call-failure.js'
import { giveBack } from '../support/give-back.js'
import { type Outcome, performBatch, readInvocation } from './invocation.js'
import type { ItemStreams, StreamOwner } from './item-streams.js'
import { readData, unknownSerializer } from './message-data.js'
import { Flag, type Message, MessageType, type OutgoingMessage, type Protocol } from './protocol.js'
import type { PyroObjects } from './pyro-object.js'
import { type ExceptionDict, PythonRaise, raisedException } from './python-exception.js'
import { OWN_LIMITS, type Serializer, type Serializers } from './serializers.js'

/** Maximum length of the text of all attributes of an exception, and their maximum depth. */
const ATTRIBUTES_LENGTH = 1 << 20
const ATTRIBUTE_DEPTH = 20

export interface RequestHandlerSetup {
  readonly protocol: Protocol
  readonly serializers: Serializers
  readonly objects: PyroObjects
  readonly streams: ItemStreams
  /** Owns the iterators that the client gets. */
  readonly owner: StreamOwner
  readonly client: Pick<GatewayClient, 'limits' | 'exposeStacks' | 'report'>
}

/** Takes a reply, or nothing for a one-way call. */
export type OnReply = (reply: OutgoingMessage | undefined) => void

export class RequestHandler {
  constructor(private readonly setup: RequestHandlerSetup) {}

  /**
   * Makes the calls of a request. Resolves when they are made, which for a batch is when all have settled; `onReply` is called
   * once, when they have settled.
   */
  async begin(message: Message, onReply: OnReply): Promise<void> {
    const { serializers } = this.setup
    const serializer = serializers.get(message.serializer) ?? serializers.standard
    try {
      if (serializer.id !== message.serializer) throw unknownSerializer(message.serializer)
      const perform = await this.#prepare(message, serializer)
      const result = perform()
      void this.#reply(message, serializer, result).then(onReply)
      if (message.flags & Flag.batch) await result
    } catch (error) {
      onReply(this.#failure(message, serializer, error))
    }
  }

  /** @returns makes the calls */
  async #prepare(message: Message, serializer: Serializer): Promise<() => Promise<unknown>> {
    const { client, objects, protocol } = this.setup
    if (message.flags & protocol.keepSerializedFlag)
      throw new RefusedCallError('bad-params', 'a SerializedBlob is passed on by Pyro alone: pass its data')
    const data = await readData(message, serializer, client.limits, client.limits.frameBytes)
    const isBatch = (message.flags & Flag.batch) !== 0
    const { objectId, calls } = readInvocation(serializer.partsOfCall(data), isBatch)
    const object = await objects.find(objectId)
    return isBatch ? () => performBatch(object, calls) : object.prepare(calls[0]!)
  }

  /** The reply to calls that are made. Never rejects. */
  async #reply(
    message: Message,
    serializer: Serializer,
    result: Promise<unknown>
  ): Promise<OutgoingMessage | undefined> {
    try {
      const value = await result
      const isBatch = (message.flags & Flag.batch) !== 0
      if (message.flags & Flag.oneway) return this.#discard(value, isBatch)
      if (isBatch) return this.#batchReply(message, serializer, value as Outcome[])
      if (isIterator(value)) return this.#streamReply(message, serializer, value)
      return this.#result(message, serializer, value, 'result')
    } catch (error) {
      return this.#failure(message, serializer, error)
    }
  }

  /** @throws NoFormError, LimitError. The references in the value are then given back; other values have none. */
  #result(message: Message, serializer: Serializer, value: unknown, name: string): OutgoingMessage {
    try {
      const data = serializer.write(value, [name], this.setup.client.limits)
      return replyTo(message, serializer, { flags: message.flags & Flag.batch, data })
    } catch (error) {
      giveBack(value)
      throw error
    }
  }

  #batchReply(message: Message, serializer: Serializer, outcomes: readonly Outcome[]): OutgoingMessage {
    const { exceptionWrapper } = this.setup.protocol
    const results = outcomes.map(outcome =>
      'error' in outcome
        ? { __class__: exceptionWrapper, exception: this.#exception(outcome.error, serializer) }
        : outcome.result
    )
    return this.#result(message, serializer, results, 'results')
  }

  /** Clients that know no streams see an exception. */
  #streamReply(message: Message, serializer: Serializer, iterable: AsyncIterable<unknown>): OutgoingMessage {
    const { streams, owner, protocol } = this.setup
    const streamId = streams.open(iterable[Symbol.asyncIterator](), owner)
    const error = new PythonRaise('errors', 'ProtocolError', ['result of call is an iterator'])
    const flags = Flag.exception | protocol.itemStreamFlag
    const data = this.#exceptionData(error, serializer)
    return replyTo(message, serializer, { flags, data, streamId })
  }

  #discard(value: unknown, isBatch: boolean): undefined {
    giveBack(value)
    if (!isBatch) return
    for (const outcome of value as Outcome[]) if ('error' in outcome) this.#report(outcome.error)
  }

  #failure(message: Message, serializer: Serializer, error: unknown): OutgoingMessage | undefined {
    if (message.flags & Flag.oneway) return void this.#report(error)
    const data = this.#exceptionData(error, serializer)
    return replyTo(message, serializer, { flags: Flag.exception, data })
  }

  /** Nobody else learns that a one-way call failed. */
  #report(error: unknown): void {
    const isCallers = error instanceof PythonRaise || callFailureOf(error).kind !== 'error'
    if (!isCallers) this.setup.client.report(error)
  }

  #exceptionData(error: unknown, serializer: Serializer): string {
    return serializer.write(this.#exception(error, serializer), ['exception'], OWN_LIMITS)
  }

  #exception(error: unknown, serializer: Serializer): ExceptionDict {
    const { client, protocol } = this.setup
    let room = ATTRIBUTES_LENGTH
    const fits = (value: unknown): boolean => {
      try {
        const limits = { depth: ATTRIBUTE_DEPTH, jsonBytes: room, frameBytes: 0 }
        room -= serializer.write(value, ['attribute'], limits).length
        return room >= 0
      } catch {
        return false
      }
    }
    return raisedException(error, { pyro: protocol.pyro, exposeStacks: client.exposeStacks, fits })
  }
}

/** The reply to a request. */
const replyTo = (
  { seq, correlationId }: Message,
  { id }: Serializer,
  reply: Pick<OutgoingMessage, 'flags' | 'data' | 'streamId'>
): OutgoingMessage => ({ type: MessageType.result, seq, correlationId, serializer: id, ...reply })

/** Whether a value is an iterator or a stream of the service, which arrives as one. */
const isIterator = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && !Netref.is(value) && Symbol.asyncIterator in value
