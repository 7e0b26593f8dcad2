// A call of a client: its messages are read one by one, and sent at the pace at which the client reads.

import type { ServerInterceptingCallInterface } from '@grpc/grpc-js'
import type { MultiplexedRequest } from '../../server/gateway.js'
import { requestOf } from './metadata.js'
import type { Status } from './status.js'
import type { UnreadMessages } from './unread-messages.js'

/** A read or a write under way. */
interface Waiting<T> {
  resolve(value: T): void
  reject(reason: unknown): void
}

export class IncomingCall {
  readonly #cancellation = new AbortController()
  #reading: Waiting<Buffer | undefined> | undefined
  #sending: Waiting<void> | undefined
  #hasFinished = false

  /** @param onStarted called when the headers of the call have arrived */
  constructor(
    private readonly call: ServerInterceptingCallInterface,
    path: string,
    private readonly unread: UnreadMessages,
    onStarted: (call: IncomingCall, request: MultiplexedRequest) => void
  ) {
    call.start({
      onReceiveMetadata: metadata => onStarted(this, requestOf(path, metadata, call)),
      onReceiveMessage: (message: Buffer) => this.#settleReading(message),
      onReceiveHalfClose: () => this.#settleReading(undefined),
      onCancel: () => this.#onCancel()
    })
  }

  /** Aborts if the client cancels the call or leaves (AbortError), its deadline expires (TimeoutError), or by `abort`. */
  get signal(): AbortSignal {
    return this.#cancellation.signal
  }

  /**
   * Reads the next message; one at a time. It stays pending if the call has ended before.
   *
   * @returns undefined after the last one
   * @throws the reason of `signal`
   */
  read(): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      this.#reading = { resolve, reject }
      this.call.startRead()
    })
  }

  /** Sends a message; one at a time. Resolves when the client may read it. @throws the reason of `signal` */
  async send(message: Buffer): Promise<void> {
    this.signal.throwIfAborted()
    this.unread.add(message.length)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#sending = { resolve, reject }
        this.call.sendMessage(message, resolve)
      })
    } finally {
      this.unread.remove(message.length)
    }
  }

  /** Ends the call, for the first status. */
  finish(status: Status): void {
    if (this.#hasFinished) return
    this.#hasFinished = true
    this.call.sendStatus(status)
  }

  #settleReading(message: Buffer | undefined): void {
    this.#reading?.resolve(message)
    this.#reading = undefined
  }

  /** Called at the end of every call. */
  #onCancel(): void {
    if (this.#hasFinished) return
    this.#hasFinished = true
    const isLate = Number(this.call.getDeadline()) <= Date.now()
    this.abort(
      isLate
        ? new DOMException('the deadline of the client has expired', 'TimeoutError')
        : new DOMException('the client has cancelled the call', 'AbortError')
    )
  }

  /** Gives the call up. */
  abort(reason: unknown): void {
    this.#reading?.reject(reason)
    this.#sending?.reject(reason)
    this.#cancellation.abort(reason)
  }
}
