// The server side of a socket before the client's hello: limits what is read, and receives the token.

import type { Reason } from '../errors.js'
import { parseToken } from '../transport/token.js'
import type { Transport, TransportListener } from '../transport/transport.js'
import { TransportWrapper } from '../transport/transport-wrapper.js'
import type { WebSocketTransport } from '../transport/websocket.js'
import { clock } from '../util/clock.js'
import { runInMicrotask } from '../util/scheduler.js'
import { type HelloBudget, type PreHelloClient, UNBUDGETED_BYTES } from './hello-budget.js'

/** The members of the wrapped transport that `PreHelloTransport` uses. */
export type CountedTransport = Transport & Pick<WebSocketTransport, 'onRawData' | 'terminate'>

/** Detects whether the first frame is a token, and buffers frames until a session starts the transport. */
export class PreHelloTransport extends TransportWrapper implements TransportListener, PreHelloClient {
  /** Resolves with the token, or with undefined if the first frame is not a token. */
  readonly token: Promise<string | undefined>
  /** When the client could send its first byte, by `clock.now()`. */
  readonly connectedAt = clock.now()
  preHelloBytes = 0
  #resolveToken: ((token: string | undefined) => void) | undefined
  /** Whether a session takes the frames. */
  #isDelivering = false
  readonly #bufferedFrames: (string | Uint8Array)[] = []
  #isRejected = false
  #isPaused = false
  #closeReason: Reason | undefined
  /** Stops counting bytes; undefined after the hello. */
  #stopCounting: (() => void) | undefined

  constructor(
    private readonly socket: CountedTransport,
    private readonly budget: HelloBudget,
    /** Bytes that the client may send before its hello. */
    private readonly maxBytes: number
  ) {
    super(socket)
    this.token = new Promise(resolve => {
      this.#resolveToken = resolve
    })
    socket.start(this)
    this.#stopCounting = socket.onRawData(bytes => this.#countBytes(bytes))
  }

  /** Whether the client has sent anything. */
  get hasReceived(): boolean {
    return this.#resolveToken === undefined
  }

  protected begin(): void {
    this.emitOpen()
    // The session is started before it receives frames.
    runInMicrotask(() => {
      this.#isDelivering = true
      const frames = this.#bufferedFrames.splice(0)
      this.updateReading()
      for (const frame of frames) this.onFrame(frame)
      if (this.#closeReason) this.emitClose(this.#closeReason)
    })
  }

  /** Reading goes on after a rejection to detect the end of the socket; frames are dropped. */
  override close(reason: Reason): void {
    if (!this.#isDelivering) {
      this.#isRejected = true
      this.updateReading()
    }
    this.inner.close(reason)
  }

  /** The socket of a server is open from the start. */
  onOpen(): void {}

  onFrame(frame: string | Uint8Array): void {
    if (this.#resolveToken && this.#takeToken(frame)) return
    if (this.#isDelivering) {
      if (this.#stopCounting) this.#onHello()
      return this.listener.onFrame(frame)
    }
    if (this.#isRejected) return
    this.#bufferedFrames.push(frame)
    this.updateReading()
  }

  onClose(reason: Reason): void {
    this.#resolveToken?.(undefined)
    this.#closeReason = reason
    if (this.#stopCounting) this.#onHello()
    if (this.#isDelivering) this.emitClose(reason)
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
    return !this.#isDelivering && !this.#isRejected
  }

  #countBytes(bytes: number): void {
    // Bytes after the hello belong to the session.
    if (!this.#stopCounting) return
    this.preHelloBytes += bytes
    if (!this.budget.addBytes(this, bytes) || this.preHelloBytes > this.maxBytes)
      return this.socket.terminate()
    // A longer message cannot be a token.
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
