// A connection to a server of net/rpc: sends calls, and hands their answers to the callers.

import type { Socket } from 'node:net'
import { LimitError, type Reason } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { isNothing, StructType } from './gob/composite-types.js'
import { GobEncoder } from './gob/encoder.js'
import type { GobType } from './gob/gob-type.js'
import { REQUEST } from './headers.js'
import { type MessagePair, PairReader } from './message-pairs.js'
import { isWrongType, remoteError } from './remote-error.js'
import type { SentTypes } from './sent-types.js'

type ConnectionLimits = Pick<Limits, 'frameBytes' | 'jsonBytes' | 'depth' | 'bufferedBytes' | 'pendingCalls'>

/**
 * A type that is defined before the first call, and is that of no value. Its name ends the line that a server of HTTP waits for:
 * it answers that this is no request. Without it, the first call would wait for ever.
 */
const LINE_END = new StructType('struct {}', [], '\n')
const HTTP_START = 'HTTP/'

interface PendingCall {
  readonly method: string
  /** Of the argument. */
  readonly type: GobType
  resolve(result: unknown): void
  reject(error: unknown): void
}

export class ClientConnection {
  readonly #encoder: GobEncoder
  readonly #reader: PairReader
  /** The calls without an answer, those that their callers have given up included: net/rpc cannot cancel. */
  readonly #pending = new Map<number | bigint, PendingCall>()
  #nextSequence = 0
  #hasAnswered = false

  /** @param onLost called when the connection is lost */
  constructor(
    private readonly socket: Socket,
    private readonly types: SentTypes,
    private readonly limits: ConnectionLimits,
    private readonly onLost: (reason: Reason) => void
  ) {
    this.#encoder = new GobEncoder(limits, (value, writer) => types.registeredType(value, writer))
    this.#encoder.define(REQUEST)
    this.#encoder.define(LINE_END)
    this.#reader = new PairReader(limits, types.known)
    socket
      .on('data', chunk => this.#onData(chunk))
      .on('error', cause => this.#lose({ code: 'connection-lost', message: cause.message, cause }))
      .once('close', () =>
        this.#lose({ code: 'connection-lost', message: 'the server closed the connection' })
      )
  }

  /** Sends a call before it returns, so that calls leave in order. */
  call(method: string, argument: unknown): Promise<unknown> {
    const { socket, limits } = this
    return new Promise((resolve, reject) => {
      if (socket.writableLength > limits.bufferedBytes)
        throw new LimitError('limit', 'the server reads too slowly (limits.bufferedBytes)')
      if (this.#pending.size >= limits.pendingCalls)
        throw new LimitError(
          'limit',
          `the server has not answered ${limits.pendingCalls} calls, those that were given up included (limits.pendingCalls)`
        )
      const type = this.types.typeOf({ method, value: argument })
      const body = this.#encoder.encode(type, argument, 'args[0]')
      const sequence = this.#nextSequence++
      const header = this.#encoder.encodeOwn(REQUEST, { ServiceMethod: method, Seq: sequence })
      socket.write(Buffer.concat([...this.#encoder.takeDefinitions(), header, body]))
      this.#pending.set(sequence, { method, type, resolve, reject })
    })
  }

  close(): void {
    // With calls pending, the server learns at once that nobody waits for them.
    if (this.#pending.size > 0) this.socket.resetAndDestroy()
    else this.socket.destroy()
  }

  #onData(chunk: Buffer): void {
    const isHttp = !this.#hasAnswered && chunk.toString('latin1', 0, HTTP_START.length) === HTTP_START
    this.#hasAnswered = true
    try {
      if (isHttp) throw new Error('the server speaks HTTP; set `http: true`')
      for (const pair of this.#reader.read(chunk)) this.#onAnswer(pair)
    } catch (error) {
      this.#lose({ code: 'protocol', message: `its answer is not of net/rpc: ${(error as Error).message}` })
      this.socket.destroy()
    }
  }

  #onAnswer({ header, body }: MessagePair): void {
    const call = this.#pending.get(header.Seq)
    if (!call) return
    this.#pending.delete(header.Seq)
    if (header.Error !== '') {
      if (isWrongType(header.Error)) this.types.forget(call.method)
      call.reject(remoteError(header.Error, call.method, call.type))
    } else if (body instanceof LimitError) call.reject(body)
    else call.resolve(isNothing(body.type) ? undefined : body.value)
  }

  #lose(reason: Reason): void {
    this.#pending.clear()
    this.onLost(reason)
  }
}
