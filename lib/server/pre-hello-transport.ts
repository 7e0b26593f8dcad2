// The server's end of a socket until its client has said hello: little of it is read before it is known who that is.

import type { Reason } from '../errors.js'
import { parseToken } from '../transport/token.js'
import type { Transport, TransportListener } from '../transport/transport.js'
import { TransportWrapper } from '../transport/transport-wrapper.js'
import type { WebSocketTransport } from '../transport/websocket.js'
import { clock } from '../util/clock.js'
import { runInMicrotask } from '../util/scheduler.js'
import { type HelloBudget, type PreHelloClient, UNBUDGETED_BYTES } from './hello-budget.js'

/** What Arriving needs of the transport that it wraps. */
export type CountedTransport = Transport & Pick<WebSocketTransport, 'onRawData' | 'terminate'>

/** It tells whether the client said a token, and keeps what follows until a session takes it. */
export class PreHelloTransport extends TransportWrapper implements TransportListener, PreHelloClient {
  /** Resolves with the first thing the client said, if that was a token, and with undefined if it was not. */
  readonly token: Promise<string | undefined>
  /** When the client could begin to speak. */
  readonly connectedAt = clock.now()
  preHelloBytes = 0
  #resolveToken: ((token: string | undefined) => void) | undefined
  #listener: TransportListener | undefined
  readonly #bufferedFrames: (string | Uint8Array)[] = []
  #isRejected = false
  #isPaused = false
  #closeReason: Reason | undefined
  /** Set until the client has said hello. */
  #stopCounting: (() => void) | undefined

  constructor(
    private readonly socket: CountedTransport,
    private readonly budget: HelloBudget,
    /** How many raw bytes the client may send until it has said hello. */
    private readonly maxBytes: number
  ) {
    super(socket)
    this.token = new Promise(resolve => {
      this.#resolveToken = resolve
    })
    socket.start(this)
    this.#stopCounting = socket.onRawData(bytes => this.#countBytes(bytes))
  }

  /** Whether the client has said something. */
  get hasReceived(): boolean {
    return this.#resolveToken === undefined
  }

  start(listener: TransportListener): void {
    listener.onOpen()
    // A session is begun before it is told of frames.
    runInMicrotask(() => {
      this.#listener = listener
      const frames = this.#bufferedFrames.splice(0)
      this.updateReading()
      for (const frame of frames) this.onFrame(frame)
      if (this.#closeReason) listener.onClose(this.#closeReason)
    })
  }

  /** Who is turned away is read from again, for its end: nothing more of it is kept. */
  override close(reason: Reason): void {
    if (!this.#listener) {
      this.#isRejected = true
      this.updateReading()
    }
    this.inner.close(reason)
  }

  /** A server's socket is open from the first. */
  onOpen(): void {}

  onFrame(frame: string | Uint8Array): void {
    if (this.#resolveToken && this.#takeToken(frame)) return
    if (this.#listener) {
      if (this.#stopCounting) this.#onHello()
      return this.#listener.onFrame(frame)
    }
    if (this.#isRejected) return
    this.#bufferedFrames.push(frame)
    this.updateReading()
  }

  onClose(reason: Reason): void {
    this.#resolveToken?.(undefined)
    this.#closeReason = reason
    if (this.#stopCounting) this.#onHello()
    this.#listener?.onClose(reason)
  }

  #takeToken(first: string | Uint8Array): boolean {
    const token = parseToken(first)
    this.#settleToken(token)
    return token !== undefined
  }

  #settleToken(token: string | undefined): void {
    this.#resolveToken?.(token)
    this.#resolveToken = undefined
  }

  get #isPending(): boolean {
    return !this.#listener && !this.#isRejected
  }

  #countBytes(bytes: number): void {
    // What came along with the hello is of the session.
    if (!this.#stopCounting) return
    this.preHelloBytes += bytes
    if (!this.budget.addBytes(this, bytes) || this.preHelloBytes > this.maxBytes)
      return this.socket.terminate()
    // What is longer is no token.
    if (this.#isPending && this.preHelloBytes > UNBUDGETED_BYTES) this.#settleToken(undefined)
    this.updateReading()
  }

  updateReading(): void {
    if (!this.#stopCounting) return
    const more = this.preHelloBytes > UNBUDGETED_BYTES || this.#bufferedFrames.length > 0
    this.#setPaused(this.#isPending ? more : !this.budget.mayRead(this))
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#isPaused) return
    this.#isPaused = paused
    if (paused) this.inner.pause()
    else this.inner.resume()
  }

  #onHello(): void {
    this.#stopCounting!()
    this.#stopCounting = undefined
    this.budget.remove(this)
    this.#setPaused(false)
  }
}
