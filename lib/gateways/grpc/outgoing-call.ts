// Calls of a server: messages are sent at the pace at which the server reads, and read at that of the user.

import type { Client, ClientWritableStream, Metadata, ServiceError } from '@grpc/grpc-js'
import type { Limits } from '../../protocol/limits.js'
import { giveBack } from '../support/give-back.js'
import type { Rpc } from './definition.js'
import { GrpcError, receivedError } from './grpc-error.js'
import { codeOf } from './status.js'
import { MalformedMessageError } from './wire-scanner.js'

type Messages = Iterable<unknown> | AsyncIterable<unknown>
/** A call that takes messages, with or without a stream in return. */
type WritableCall = Pick<ClientWritableStream<Buffer>, 'write' | 'end' | 'cancel' | 'once' | 'off'>

/** What calls of a server share. */
export interface CallSetup {
  readonly client: Client
  readonly metadata: Metadata
  readonly limits: Limits
}

const identity = (bytes: Buffer) => bytes

/** A call of one method. */
export class OutgoingCall {
  /** Why the messages of this side cannot be sent. */
  #failure: unknown

  constructor(
    private readonly setup: CallSetup,
    private readonly rpc: Rpc,
    private readonly signal: AbortSignal | undefined
  ) {}

  /** Makes a call with one message that is answered by one. */
  unary(message: Buffer): Promise<unknown> {
    const { client, metadata } = this.setup
    return this.#reply(settle =>
      client.makeUnaryRequest(this.rpc.path, identity, identity, message, metadata, settle)
    )
  }

  /** Makes a call with a stream that is answered by one message. */
  clientStream(messages: Messages): Promise<unknown> {
    const { client, metadata } = this.setup
    return this.#reply(settle => {
      const call = client.makeClientStreamRequest(this.rpc.path, identity, identity, metadata, settle)
      void this.#send(call, messages)
      return call
    })
  }

  #reply(
    start: (settle: (error: ServiceError | null, reply?: Buffer) => void) => { cancel(): void }
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (error: ServiceError | null, reply?: Buffer) => {
        this.signal?.removeEventListener('abort', cancel)
        if (error) return reject(this.#failure ?? receivedError(error))
        try {
          resolve(this.#decode(reply!))
        } catch (cause) {
          reject(cause)
        }
      }
      const call = start(settle)
      const cancel = () => call.cancel()
      this.signal?.addEventListener('abort', cancel)
    })
  }

  /** Makes a call that is answered by a stream. It begins when the stream is read. */
  async *stream(message: Buffer | Messages): AsyncGenerator<unknown, void> {
    const { client, metadata } = this.setup
    const { path } = this.rpc
    const isMessage = Buffer.isBuffer(message)
    const call = isMessage
      ? client.makeServerStreamRequest(path, identity, identity, message, metadata)
      : client.makeBidiStreamRequest(path, identity, identity, metadata)
    if (!isMessage) void this.#send(call as unknown as WritableCall, message)
    // The error of a call that was left.
    call.on('error', () => {})
    try {
      for await (const reply of call.iterator({ destroyOnReturn: false })) yield this.#decode(reply)
    } catch (error) {
      throw this.#failure ?? (isServiceError(error) ? receivedError(error) : error)
    } finally {
      call.cancel()
    }
  }

  async #send(call: WritableCall, messages: Messages): Promise<void> {
    let hasEnded = false
    const onEnd = () => {
      hasEnded = true
    }
    call.once('status', onEnd)
    try {
      let index = 0
      for await (const message of messages) {
        if (hasEnded) break
        await written(call, this.rpc.request.encode(message, ['args', 0, index++], this.setup.limits))
      }
      call.end()
    } catch (error) {
      this.#failure = error
      call.cancel()
    } finally {
      giveBack(messages)
    }
  }

  /** @throws GrpcError for an answer that is no message, LimitError for one that takes too much memory */
  #decode(reply: Buffer): unknown {
    try {
      return this.rpc.reply.decode(reply, this.setup.limits)
    } catch (error) {
      if (!(error instanceof MalformedMessageError)) throw error
      throw new GrpcError(codeOf('INTERNAL'), `the answer is no message of the type: ${error.message}`)
    }
  }
}

/** Resolves when a message is written, or the call has ended. */
const written = (call: WritableCall, message: Buffer): Promise<void> =>
  new Promise(resolve => {
    const done = () => {
      call.off('status', done)
      resolve()
    }
    call.once('status', done)
    call.write(message, done)
  })

const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && 'metadata' in error && !(error instanceof GrpcError)
