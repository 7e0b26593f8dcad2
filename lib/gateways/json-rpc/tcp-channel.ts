// Calls a JSON-RPC server over a TCP connection.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { LimitError, type Reason } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { type Channel, callText, errorOf, type OutgoingCall, resultOf } from './channel.js'
import { parseText } from './requests.js'
import { JsonTextCutter } from './text-cutter.js'

interface PendingCall {
  resolve(result: unknown): void
  reject(error: unknown): void
}

type TcpLimits = Pick<Limits, 'jsonBytes' | 'depth' | 'bufferedBytes'>

export class TcpChannel implements Channel {
  /** The calls without an answer, those that their callers have given up included: JSON-RPC cannot cancel. */
  readonly #pending = new Map<unknown, PendingCall>()
  readonly #cutter: JsonTextCutter
  #lastId = 0

  /** @param onLost called once when the connection is lost */
  private constructor(
    private readonly socket: Socket,
    private readonly limits: TcpLimits,
    private readonly onLost: (reason: Reason) => void
  ) {
    this.#cutter = new JsonTextCutter(limits)
    socket
      .on('data', chunk => this.#onData(chunk))
      .on('error', cause => this.#lose({ code: 'connection-lost', message: cause.message, cause }))
      .once('close', () =>
        this.#lose({ code: 'connection-lost', message: 'the server closed the connection' })
      )
  }

  static async open(
    { hostname, port }: URL,
    limits: TcpLimits,
    onLost: (reason: Reason) => void
  ): Promise<TcpChannel> {
    const socket = connect(Number(port), hostname.replace(/^\[|\]$/g, '')).setNoDelay(true)
    await once(socket, 'connect')
    return new TcpChannel(socket, limits, onLost)
  }

  send(call: OutgoingCall): Promise<unknown> {
    const { socket, limits } = this
    return new Promise((resolve, reject) => {
      if (socket.writableLength > limits.bufferedBytes)
        throw new LimitError('limit', 'the server reads too slowly (limits.bufferedBytes)')
      const id = ++this.#lastId
      socket.write(`${callText(call, id)}\n`)
      if (call.isNotification) return resolve(undefined)
      this.#pending.set(id, { resolve, reject })
    })
  }

  /** With calls pending, it resets the connection: the server learns at once that nobody waits for them. */
  close(): void {
    if (this.#pending.size > 0) this.socket.resetAndDestroy()
    else this.socket.destroy()
  }

  #onData(chunk: Buffer): void {
    try {
      for (const text of this.#cutter.cut(chunk)) this.#onAnswer(parseText(text, this.limits))
    } catch (error) {
      this.#lose({ code: 'protocol', message: `its answer is not JSON: ${(error as Error).message}` })
      this.socket.destroy()
    }
  }

  /** An answer to a call that was given up is ignored. */
  #onAnswer(answer: unknown): void {
    const { id } = answer as { id?: unknown }
    if (id === null) return this.#onUnknownCallFailed(answer)
    const call = this.#pending.get(id)
    if (!call) return
    this.#pending.delete(id)
    try {
      call.resolve(resultOf(answer))
    } catch (error) {
      call.reject(error)
    }
  }

  /** The server could not read a call. Nobody knows which, so none may wait. */
  #onUnknownCallFailed(answer: unknown): void {
    const error = errorOf(answer)
    if (!error) return
    this.#lose({ code: 'protocol', message: `the server could not read a call: ${error.message}` })
    this.socket.destroy()
  }

  #lose(reason: Reason): void {
    this.#pending.clear()
    this.onLost(reason)
  }
}
