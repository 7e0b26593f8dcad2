// Serves the connection of a client of Pyro: the handshake, then requests.

import type { Duplex } from 'node:stream'
import type { GatewayClient } from '../../server/gateway.js'
import { type Deadline, startDeadline } from '../../util/deadline.js'
import { Queue } from '../../util/queue.js'
import { PacedWriter } from '../support/paced-writer.js'
import type { ItemStreams, StreamOwner } from './item-streams.js'
import { readData, unknownSerializer } from './message-data.js'
import { MessageReader } from './message-reader.js'
import { ObjectDirectory } from './object-directory.js'
import { type Message, MessageType, type OutgoingMessage } from './protocol.js'
import { RequestHandler } from './request-handler.js'
import { OWN_LIMITS, Serializers } from './serializers.js'

/** Maximum length of a message while its sender is not known yet. */
const MAX_HANDSHAKE_BYTES = 1 << 14
/** What a message that waits takes besides the bytes that it has, in bytes. */
const MESSAGE_OVERHEAD_BYTES = 512
/** The handshake of clients that set none, and the answer to all. */
const GREETING = 'hello'

export class PyroConnection {
  readonly #reader = new MessageReader(MAX_HANDSHAKE_BYTES)
  readonly #writer: PacedWriter
  /** For the first message, then for the rest of each message that has begun. */
  #deadline: Deadline | undefined
  /** Undefined until the client has a session. */
  #handler: RequestHandler | undefined
  /** Messages whose calls are not made yet: they are made one after another. */
  readonly #waiting = new Queue<Message>()
  #waitingBytes = 0
  #isWorking = false
  /** For the call that messages wait for. Meanwhile no more are read, so that the end of the connection is not noticed. */
  #patience: Deadline | undefined
  #pendingReplies = 0
  /** Whether no more requests are performed: the connection ends with the last reply. */
  #isFinishing = false
  /** Owns the iterators of the client. */
  readonly #owner: StreamOwner = { ids: new Set(), hasEnded: false }

  /** @param streams the iterators of all connections of the gateway */
  constructor(
    private readonly socket: Duplex,
    private readonly client: GatewayClient,
    private readonly streams: ItemStreams
  ) {
    this.#writer = new PacedWriter(socket, client.limits)
    this.#startDeadline()
    socket
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .once('close', () => {
        this.#isFinishing = true
        this.#deadline?.stop()
        this.#patience?.stop()
        this.streams.endAll(this.#owner)
      })
  }

  #onData(chunk: Buffer): void {
    if (this.#isFinishing) return
    try {
      for (const message of this.#reader.read(chunk)) this.#onMessage(message)
    } catch {
      return this.#abort()
    }
    // The first message must arrive in time as a whole.
    if (this.#handler) {
      this.#deadline?.stop()
      if (this.#reader.isWithinMessage) this.#startDeadline()
    }
    const { bufferedBytes, pauseMs } = this.client.limits
    const mayWait = this.#handler ? bufferedBytes : 0
    if (!this.#isWorking || this.#waitingBytes < mayWait) return
    this.socket.pause()
    this.#patience ??= startDeadline(pauseMs, () => this.socket.destroy()).unref()
  }

  #startDeadline(): void {
    const onExpired = () => {
      // While this side does not read, the client is not late.
      if (this.socket.isPaused()) this.#startDeadline()
      else this.#abort()
    }
    this.#deadline = startDeadline(this.client.limits.helloMs, onExpired).unref()
  }

  #onMessage(message: Message): void {
    this.#waiting.push(message)
    this.#waitingBytes += sizeOf(message)
    if (!this.#isWorking) void this.#work()
  }

  /** Handles the messages that wait: the calls of one are made before those of the next. */
  async #work(): Promise<void> {
    this.#isWorking = true
    for (let message = this.#waiting.shift(); message; message = this.#waiting.shift()) {
      this.#waitingBytes -= sizeOf(message)
      if (!this.#isFinishing) await this.#handle(message)
      if (this.#patience?.isRunning) this.#patience.start()
    }
    this.#isWorking = false
    this.#patience?.stop()
    this.#patience = undefined
    if (this.socket.isPaused() && !this.socket.writableNeedDrain) this.socket.resume()
  }

  /** Does not reject. */
  async #handle(message: Message): Promise<void> {
    if (!this.#handler) return this.#connect(message)
    if (message.type === MessageType.ping) return this.#answerPing(message)
    if (message.type !== MessageType.invoke) return this.#abort()
    const onReply = (reply: OutgoingMessage | undefined) => reply && this.#write(reply)
    if (this.#pendingReplies >= this.client.limits.pendingCalls) return onReply(this.#handler.refuse(message))
    this.#pendingReplies++
    await this.#handler.begin(message, reply => {
      onReply(reply)
      if (--this.#pendingReplies === 0 && this.#isFinishing) this.#writer.end()
    })
  }

  /** Answers the handshake: with the description of the object that the client names, or why it is refused. */
  async #connect(message: Message): Promise<void> {
    if (message.type !== MessageType.connect) return this.#abort()
    this.#deadline!.stop()
    const { limits } = this.client
    const protocol = this.#reader.protocol!
    const serializers = new Serializers(protocol)
    const serializer = serializers.get(message.serializer) ?? serializers.standard
    const answer = (type: number, flags: number, value: unknown) => {
      const data = serializer.write(value, ['handshake'], OWN_LIMITS)
      const { seq, correlationId } = message
      this.#write({ type, flags, seq, correlationId, serializer: serializer.id, data })
    }
    try {
      if (serializer.id !== message.serializer) throw unknownSerializer(message.serializer)
      const data = await readData(message, serializer, limits, MAX_HANDSHAKE_BYTES)
      const { handshake, object: id } = Object(data)
      const objects = await this.#open(serializers, tokenOf(handshake))
      const isAsked = protocol.metadataFlag === 0 || (message.flags & protocol.metadataFlag) !== 0
      if (!isAsked) return answer(MessageType.connectOk, 0, GREETING)
      const meta = await (await objects.find(String(id))).metadata()
      answer(MessageType.connectOk, protocol.metadataFlag, { handshake: GREETING, meta })
    } catch (error) {
      answer(MessageType.connectFail, 0, (error as Error).message)
      this.#abort()
    }
  }

  /** Opens the session. @throws NetrefError if the client is refused */
  async #open(serializers: Serializers, token: string | undefined): Promise<ObjectDirectory> {
    const { client, streams } = this
    const session = await client.openSession(token)
    const objects = new ObjectDirectory(session.root, client.limits.depth, streams)
    const protocol = this.#reader.protocol!
    this.#handler = new RequestHandler({
      ...{ protocol, serializers, objects, streams, client },
      owner: this.#owner
    })
    this.#reader.maxBytes = client.limits.frameBytes
    session.on('closed', () => this.#finish())
    return objects
  }

  #answerPing({ seq, serializer, correlationId }: Message): void {
    this.#write({ type: MessageType.ping, flags: 0, seq, serializer, correlationId, data: 'pong' })
  }

  #write(message: OutgoingMessage): void {
    this.#writer.write(this.#reader.protocol!.writeMessage(message))
  }

  /** Performs no more requests. Ends the connection when all calls are answered. */
  #finish(): void {
    this.#isFinishing = true
    if (this.#pendingReplies === 0) this.#writer.end()
  }

  /** Ends the connection of a client that is refused, or breaks the protocol. */
  #abort(): void {
    this.#isFinishing = true
    this.#writer.end()
  }
}

const sizeOf = ({ annotationBytes, dataBytes }: Message): number =>
  annotationBytes + dataBytes + MESSAGE_OVERHEAD_BYTES

/** What a client shows who it is by. */
const tokenOf = (handshake: unknown): string | undefined =>
  typeof handshake === 'string' && handshake !== GREETING ? handshake : undefined
