// Performs the requests of a client of Pyro on the objects of a session, and makes the replies.

import { LimitError } from '../../errors.js'
import type { GatewayClient } from '../../server/gateway.js'
import { callFailureOf, RefusedCallError } from '../support/call-failure.js'
import { giveBack } from '../support/give-back.js'
import { isIterator } from '../support/iterator.js'
import { readInvocation } from './invocation.js'
import type { ItemStreams, StreamOwner } from './item-streams.js'
import { readData, unknownSerializer } from './message-data.js'
import {
  Flag,
  type Message,
  type MessageHeader,
  MessageType,
  type OutgoingMessage,
  type Protocol
} from './protocol.js'
import type { MethodCall, PyroObject, PyroObjects } from './pyro-object.js'
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
    // The data is not kept while a call is under way.
    const { data, ...header } = message
    const serializer = this.#serializerFor(header)
    try {
      if (serializer.id !== header.serializer) throw unknownSerializer(header.serializer)
      const perform = await this.#prepare(message, serializer)
      const result = perform()
      void this.#reply(header, serializer, result).then(onReply)
      if (header.flags & Flag.batch) await result
    } catch (error) {
      onReply(this.#failure(header, serializer, error))
    }
  }

  /** @returns the reply to a request that is not performed, as too many are under way */
  refuse(header: MessageHeader): OutgoingMessage | undefined {
    const { pendingCalls } = this.setup.client.limits
    const error = new LimitError('limit', `${pendingCalls} requests are under way (limits.pendingCalls)`)
    return this.#failure(header, this.#serializerFor(header), error)
  }

  #serializerFor({ serializer }: MessageHeader): Serializer {
    const { serializers } = this.setup
    return serializers.get(serializer) ?? serializers.standard
  }

  /** @returns makes the calls, and resolves with the result, or for a batch with the data of the reply */
  async #prepare(message: Message, serializer: Serializer): Promise<() => Promise<unknown>> {
    const { client, objects, protocol } = this.setup
    if (message.flags & protocol.keepSerializedFlag)
      throw new RefusedCallError('bad-params', 'a SerializedBlob is passed on by Pyro alone: pass its data')
    const data = await readData(message, serializer, client.limits, client.limits.frameBytes)
    const isBatch = (message.flags & Flag.batch) !== 0
    const { objectId, calls } = readInvocation(serializer.partsOfCall(data), isBatch)
    const object = await objects.find(objectId)
    if (!isBatch) return object.prepare(calls[0]!)
    const isOneway = (message.flags & Flag.oneway) !== 0
    return () => this.#performBatch(object, calls, isOneway, serializer)
  }

  /**
   * Makes calls one after another, until one fails. Their results are kept as texts, so that they can be bounded.
   *
   * @returns the data of the reply
   */
  async #performBatch(
    object: PyroObject,
    calls: readonly MethodCall[],
    isOneway: boolean,
    serializer: Serializer
  ): Promise<string> {
    const { protocol, client } = this.setup
    const { frameBytes } = client.limits
    const texts: string[] = []
    let length = 0
    for (const call of calls) {
      try {
        const value = await (await object.prepare(call))()
        if (isOneway) {
          giveBack(value)
          continue
        }
        const text = this.#textOf(value, ['results', texts.length], serializer)
        length += text.length
        if (length > frameBytes)
          throw new LimitError('limit', `the results of the batch are too long (limits.frameBytes)`)
        texts.push(text)
      } catch (error) {
        if (isOneway) this.#report(error)
        else {
          const exception = this.#exception(error, serializer)
          const wrapper = { __class__: protocol.exceptionWrapper, exception }
          texts.push(serializer.write(wrapper, ['exception'], OWN_LIMITS))
        }
        break
      }
    }
    return serializer.writeList(texts)
  }

  /** The reply to calls that are made. Never rejects. */
  async #reply(
    header: MessageHeader,
    serializer: Serializer,
    result: Promise<unknown>
  ): Promise<OutgoingMessage | undefined> {
    try {
      const value = await result
      if (header.flags & Flag.oneway) return void giveBack(value)
      if (header.flags & Flag.batch)
        return replyTo(header, serializer, { flags: Flag.batch, data: value as string })
      if (isIterator(value)) return this.#streamReply(header, serializer, value)
      return replyTo(header, serializer, { flags: 0, data: this.#textOf(value, ['result'], serializer) })
    } catch (error) {
      return this.#failure(header, serializer, error)
    }
  }

  /** @throws NoFormError, LimitError. The references in the value are then given back; other values have none. */
  #textOf(value: unknown, path: readonly (string | number)[], serializer: Serializer): string {
    try {
      return serializer.write(value, path, this.setup.client.limits)
    } catch (error) {
      giveBack(value)
      throw error
    }
  }

  /** Clients that know no streams see an exception. */
  #streamReply(
    header: MessageHeader,
    serializer: Serializer,
    iterable: AsyncIterable<unknown>
  ): OutgoingMessage {
    const { streams, owner, protocol } = this.setup
    const streamId = streams.open(iterable[Symbol.asyncIterator](), owner)
    const error = new PythonRaise('errors', 'ProtocolError', ['result of call is an iterator'])
    const flags = Flag.exception | protocol.itemStreamFlag
    const data = this.#exceptionData(error, serializer)
    return replyTo(header, serializer, { flags, data, streamId })
  }

  #failure(header: MessageHeader, serializer: Serializer, error: unknown): OutgoingMessage | undefined {
    if (header.flags & Flag.oneway) return void this.#report(error)
    const data = this.#exceptionData(error, serializer)
    return replyTo(header, serializer, { flags: Flag.exception, data })
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
  { seq, correlationId }: MessageHeader,
  { id }: Serializer,
  reply: Pick<OutgoingMessage, 'flags' | 'data' | 'streamId'>
): OutgoingMessage => ({ type: MessageType.result, seq, correlationId, serializer: id, ...reply })
