// Serves a client of net/rpc over a byte stream: calls, each of which is answered when it settles.

import type { Duplex } from 'node:stream'
import { LimitError } from '../../errors.js'
import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { type Deadline, startDeadline } from '../../util/deadline.js'
import { giveBack } from '../support/give-back.js'
import { methodAt } from '../support/methods.js'
import { PacedWriter } from '../support/paced-writer.js'
import type { DeclaredTypes } from './declared-types.js'
import { errorText } from './error-text.js'
import { isNothing } from './gob/composite-types.js'
import type { GobValue } from './gob/decoder.js'
import { GobEncoder } from './gob/encoder.js'
import type { GobType } from './gob/gob-type.js'
import { RESPONSE, type RequestHeader } from './headers.js'
import { type MessagePair, PairReader } from './message-pairs.js'
import { CONNECT_RESPONSE, HeadReader, isConnect } from './opening.js'
import { OutputShapes } from './output-shapes.js'
import { EMPTY_STRUCT, SentTypes } from './sent-types.js'
import { UNKNOWN } from './shape.js'

/** Serves a connection until it ends. Answers leave in the order in which the calls settle. */
export async function serveConnection(
  socket: Duplex,
  client: GatewayClient,
  declared: DeclaredTypes
): Promise<void> {
  const session = await client.openSession()
  const connection = new GoRpcConnection(socket, client, session.root, declared)
  session.on('closed', () => connection.finish())
  connection.start()
}

class GoRpcConnection {
  readonly #writer: PacedWriter
  readonly #types: SentTypes
  readonly #outputs: OutputShapes
  readonly #encoder: GobEncoder
  readonly #reader: PairReader
  /** Reads the request of HTTP, with which the connection may begin. */
  #head: HeadReader | undefined
  #hasBegun = false
  /** For the rest of a call, or for the answers that a client without further calls waits for. */
  #deadline: Deadline | undefined
  #pendingAnswers = 0
  /** Whether the connection ends with the last answer. */
  #isFinishing = false

  constructor(
    private readonly socket: Duplex,
    private readonly client: GatewayClient,
    private readonly root: RemoteHandle<unknown>,
    declared: DeclaredTypes
  ) {
    const { limits } = client
    this.#writer = new PacedWriter(socket, limits)
    this.#types = new SentTypes(declared, limits)
    this.#outputs = new OutputShapes(root)
    this.#encoder = new GobEncoder(limits, (value, writer) => this.#types.registeredType(value, writer))
    // An error can be answered in any case: no limit is between.
    this.#encoder.define(RESPONSE)
    this.#encoder.define(EMPTY_STRUCT)
    this.#reader = new PairReader(limits, this.#types.known)
  }

  start(): void {
    const { socket } = this
    // A client that has sent its last call still reads the answers.
    socket.allowHalfOpen = true
    socket
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .once('end', () => this.#onEnd())
      .once('close', () => this.#deadline?.stop())
  }

  /** Ends the connection when all calls are answered. */
  finish(): void {
    this.#isFinishing = true
    if (this.#pendingAnswers === 0) this.#writer.end()
  }

  /** The client sends no more, or is gone: which of them cannot be known. */
  #onEnd(): void {
    this.#deadline?.stop()
    this.#deadline = startDeadline(this.client.limits.helloMs, () => this.socket.destroy()).unref()
    this.finish()
  }

  #onData(chunk: Buffer): void {
    try {
      this.#read(chunk)
    } catch {
      // The bytes are not of net/rpc. Go's server closes the connection, too.
      this.socket.destroy()
      return
    }
    this.#deadline?.stop()
    if (this.#head || this.#reader.isWithinPair)
      this.#deadline = startDeadline(this.client.limits.helloMs, () => this.socket.destroy()).unref()
  }

  #read(chunk: Buffer): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true
      // The first chunk has what the protocol was told by.
      if (isConnect(chunk)) this.#head = new HeadReader()
    }
    if (this.#head) {
      const read = this.#head.read(chunk)
      if (!read) return
      this.#head = undefined
      this.#writer.write(CONNECT_RESPONSE)
      chunk = read.rest
    }
    for (const pair of this.#reader.read(chunk)) void this.#answer(pair)
  }

  /** Calls a method, and answers. Never rejects. */
  async #answer({ header, body }: MessagePair): Promise<void> {
    this.#pendingAnswers++
    try {
      if (body instanceof LimitError) throw body
      const result = await this.#call(header.ServiceMethod, body)
      this.#send(header, '', await this.#encode(header.ServiceMethod, result, body.type))
    } catch (error) {
      const text = errorText(error, header.ServiceMethod, this.client.exposeStacks)
      this.#send(header, text, this.#encoder.encodeOwn(EMPTY_STRUCT, undefined))
    }
    if (--this.#pendingAnswers === 0 && this.#isFinishing) this.#writer.end()
  }

  #call(method: string, { type, value }: GobValue): Promise<unknown> {
    const path = methodAt(this.root, method, this.client.limits.depth)
    return isNothing(type) ? path() : path(value)
  }

  /** @throws TypeError for a result that has no form. References in it are then given back; other results have none */
  async #encode(method: string, value: unknown, received: GobType): Promise<Buffer> {
    const declared = this.#types.isDeclared(method) ? UNKNOWN : await this.#outputs.shapeOf(method)
    try {
      return this.#encoder.encode(this.#types.typeOf({ method, value, declared, received }), value, 'result')
    } catch (error) {
      giveBack(value)
      throw error
    }
  }

  /** A result follows an error, too. */
  #send({ ServiceMethod, Seq }: RequestHeader, error: string, result: Buffer): void {
    const header = this.#encoder.encodeOwn(RESPONSE, { ServiceMethod, Seq, Error: error })
    this.#writer.write(Buffer.concat([...this.#encoder.takeDefinitions(), header, result]))
  }
}
