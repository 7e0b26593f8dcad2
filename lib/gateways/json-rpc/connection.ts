// Serves a JSON-RPC client over a byte stream: texts one after the other, each answered by a text and a line feed.

import type { Duplex } from 'node:stream'
import type { GatewayClient } from '../../server/gateway.js'
import { type Deadline, startDeadline } from '../../util/deadline.js'
import { PacedWriter } from '../support/paced-writer.js'
import { ErrorCode, errorAnswer } from './answers.js'
import { type Answer, RequestHandler } from './request-handler.js'
import { JsonTextCutter } from './text-cutter.js'

/** Serves a connection until it ends. Answers leave in the order in which the calls settle. */
export async function serveConnection(
  socket: Duplex,
  client: GatewayClient,
  isDiscoverable: boolean
): Promise<void> {
  const session = await client.openSession()
  const handler = new RequestHandler(session.root, client, { discover: isDiscoverable, nullResult: '{}' })
  const connection = new JsonRpcConnection(socket, client, handler)
  session.on('closed', () => connection.finish())
  connection.start()
}

class JsonRpcConnection {
  readonly #cutter: JsonTextCutter
  readonly #writer: PacedWriter
  /** For the rest of a text, or for the answers that a client without further requests waits for. */
  #deadline: Deadline | undefined
  #pendingAnswers = 0
  /** Whether no more requests are read: the connection ends with the last answer. */
  #isFinishing = false

  constructor(
    private readonly socket: Duplex,
    private readonly client: GatewayClient,
    private readonly handler: RequestHandler
  ) {
    this.#cutter = new JsonTextCutter(client.limits)
    this.#writer = new PacedWriter(socket, client.limits)
  }

  start(): void {
    const { socket } = this
    // A client that has sent its last request still reads the answers.
    socket.allowHalfOpen = true
    socket
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .once('end', () => this.#onEnd())
      .once('close', () => this.#deadline?.stop())
  }

  /** The client sends no more, or is gone: which of them cannot be known. */
  #onEnd(): void {
    this.#deadline?.stop()
    this.#deadline = startDeadline(this.client.limits.helloMs, () => this.socket.destroy()).unref()
    this.finish()
  }

  /** Reads no more. Ends the connection when all requests are answered. */
  finish(): void {
    this.#isFinishing = true
    if (this.#pendingAnswers === 0) this.#writer.end()
  }

  #onData(chunk: Buffer): void {
    if (this.#isFinishing) return
    try {
      for (const text of this.#cutter.cut(chunk)) this.#answer(this.handler.handle(text))
    } catch (error) {
      return this.#refuse((error as Error).message)
    }
    this.#deadline?.stop()
    if (this.#cutter.isWithinText)
      this.#deadline = startDeadline(this.client.limits.helloMs, () =>
        this.#refuse('the rest of a text did not arrive (limits.helloMs)')
      )
  }

  #answer(answer: Answer): void {
    if (typeof answer === 'string') return this.#write(answer)
    this.#pendingAnswers++
    void answer.then(text => {
      this.#write(text)
      if (--this.#pendingAnswers === 0 && this.#isFinishing) this.#writer.end()
    })
  }

  #write(text: string): void {
    if (text !== '') this.#writer.write(`${text}\n`)
  }

  /** The client breaks the protocol. */
  #refuse(message: string): void {
    this.#isFinishing = true
    this.#write(errorAnswer({ version: '2.0', id: 'null' }, { code: ErrorCode.parse, message }))
    this.#writer.end()
  }
}
