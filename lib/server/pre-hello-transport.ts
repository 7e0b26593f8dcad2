// The server side of a socket before the client's hello: limits what is read, and receives the token.

import type { Reason } from '../errors.js'
import { parseToken } from '../transport/token.js'
import type { CountedTransport, TransportListener } from '../transport/transport.js'
import { TransportWrapper } from '../transport/transport-wrapper.js'
import { clock } from '../util/clock.js'
import { runInMicrotask } from '../util/scheduler.js'
import { type HelloBudget, type PreHelloClient, UNBUDGETED_BYTES } from './hello-budget.js'

/**
 * State of the transport:
 * - `pending`: the client is not accepted yet. Frames are buffered.
 * - `rejected`: frames are dropped. Reading goes on to detect the end of the socket.
 * - `accepted`: a session takes the frames; its hello has not arrived.
 * - `greeted`: the hello has arrived. Bytes belong to the session.
 * - `closed`: the socket has closed before the hello. A session that starts now gets the buffered frames and the close.
 */
type PreHelloState = 'pending' | 'rejected' | 'accepted' | 'greeted' | 'closed'

/** Detects whether the first frame is a token, and buffers frames until a session starts the transport. */
export class PreHelloTransport extends TransportWrapper implements TransportListener, PreHelloClient {
  /** Resolves with the token, or with undefined if the first frame is not a token. */
  readonly token: Promise<string | undefined>
  /** When the client could send its first byte, by `clock.now()`. */
  readonly connectedAt = clock.now()
  preHelloBytes = 0
  #resolveToken: ((token: string | undefined) => void) | undefined
  #state: PreHelloState = 'pending'
  readonly #bufferedFrames: (string | Uint8Array)[] = []
  /** Whether reading is paused until the hello. */
  #isPaused = false
  /** Reason of a close that no session got. */
  #closeReason: Reason | undefined
  readonly #stopCounting: () => void

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
      if (this.#state !== 'closed') this.#state = 'accepted'
      const frames = this.#bufferedFrames.splice(0)
      this.updateReading()
      for (const frame of frames) this.#deliver(frame)
      if (this.#closeReason) this.emitClose(this.#closeReason)
    })
  }

  override close(reason: Reason): void {
    if (this.#state === 'pending') {
      this.#state = 'rejected'
      this.updateReading()
    }
    this.inner.close(reason)
  }

  /** The socket of a server is open from the start. */
  onOpen(): void {}

  onFrame(frame: string | Uint8Array): void {
    if (this.#resolveToken && this.#takeToken(frame)) return
    if (this.#state === 'rejected') return
    if (this.#state !== 'pending') return this.#deliver(frame)
    this.#bufferedFrames.push(frame)
    this.updateReading()
  }

  #deliver(frame: string | Uint8Array): void {
    if (this.#state === 'accepted') this.#leaveBudget('greeted')
    this.listener.onFrame(frame)
  }

  onClose(reason: Reason): void {
    this.#resolveToken?.(undefined)
    const hasSession = this.#state === 'accepted' || this.#state === 'greeted'
    if (this.#isCounting) this.#leaveBudget('closed')
    if (hasSession) this.emitClose(reason)
    else this.#closeReason = reason
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

  /** Whether received bytes count against the budget. */
  get #isCounting(): boolean {
    return this.#state !== 'greeted' && this.#state !== 'closed'
  }

  #countBytes(bytes: number): void {
    if (!this.#isCounting) return
    this.preHelloBytes += bytes
    if (!this.budget.addBytes(this, bytes) || this.preHelloBytes > this.maxBytes)
      return this.socket.terminate()
    // A longer message cannot be a token.
    if (this.#state === 'pending' && this.preHelloBytes > UNBUDGETED_BYTES) this.#settleToken(undefined)
    this.updateReading()
  }

  updateReading(): void {
    if (!this.#isCounting) return
    const more = this.preHelloBytes > UNBUDGETED_BYTES || this.#bufferedFrames.length > 0
    this.#setPaused(this.#state === 'pending' ? more : !this.budget.mayRead(this))
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#isPaused) return
    this.#isPaused = paused
    if (paused) this.inner.pause()
    else this.inner.resume()
  }

  #leaveBudget(state: 'greeted' | 'closed'): void {
    this.#state = state
    this.#stopCounting()
    this.budget.remove(this)
    this.#setPaused(false)
  }
}
