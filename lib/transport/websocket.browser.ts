// The transport over the WebSocket of a browser, which cannot be paused and gives few details when it closes.

import type { Reason } from '../errors.js'
import { clock, type Timer } from '../util/clock.js'
import { BaseTransport } from './base-transport.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import { HIGH_WATER_MARK_BYTES } from './transport.js'

/** The part of the browser's `WebSocket` that is used. */
export interface BrowserWebSocket {
  binaryType: string
  readonly bufferedAmount: number
  send(frame: string | Uint8Array): void
  close(code: number, text: string): void
  addEventListener(type: string, listener: (event: never) => void): void
}

/** Close code of every reason: a page may not use the others. */
const CLOSE_CODE = 4000
/** Time for the other end to answer the close. */
const CLOSE_TIMEOUT_MS = 2000
/** Interval of the checks of `bufferedAmount`, for which there is no event. */
const DRAIN_CHECK_INTERVAL_MS = 10

export class BrowserWebSocketTransport extends BaseTransport {
  readonly transfersBuffers = false
  readonly bytesReceived = undefined
  #wasOpen = false
  #closed = false
  /** Called when enough sent bytes have left. */
  #drainCallbacks: (() => void)[] = []
  #closeTimer: Timer | undefined

  constructor(
    private readonly socket: BrowserWebSocket,
    private readonly address: string,
    /** Size of the longest frame the other end may send, in bytes. */
    private readonly maxPayload: number
  ) {
    super()
  }

  protected begin(): void {
    const { socket } = this
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => {
      this.#wasOpen = true
      this.emitOpen()
    })
    socket.addEventListener('message', ({ data }: { data: string | ArrayBuffer }) => {
      if (!this.#closed) this.#onMessage(typeof data === 'string' ? data : new Uint8Array(data))
    })
    // Chromium emits no `close` if a policy of the page forbids the connection.
    socket.addEventListener('error', () => {
      if (!this.#wasOpen) this.#end(this.#closeReason(0, ''))
    })
    socket.addEventListener('close', ({ code, reason }: { code: number; reason: string }) => {
      this.#end(this.#closeReason(code, reason))
    })
  }

  send(frame: string | Uint8Array, onSent?: () => void): void {
    this.socket.send(frame)
    if (onSent && this.#drainCallbacks.push(onSent) === 1) this.#checkDrained()
  }

  get bufferedAmount(): number {
    return this.socket.bufferedAmount
  }

  /* c8 ignore start: the browser specs run it. */
  get pendingWriteBytes(): number {
    return this.bufferedAmount
  }
  /* c8 ignore stop */

  /** A page cannot pause a socket. */
  pause(): void {}

  resume(): void {}

  close(reason: Reason): void {
    this.socket.close(CLOSE_CODE, formatCloseReason(reason))
    this.#closeTimer = clock.setTimeout(() => this.#end(reason), CLOSE_TIMEOUT_MS)
  }

  /** Sockets do not keep a page alive. */
  unref(): void {}

  #onMessage(frame: string | Uint8Array): void {
    if (frame.length > this.maxPayload) {
      const reason: Reason = { code: 'limit', message: `${this.address} sent a frame that is too large` }
      this.close(reason)
      return this.#end(reason)
    }
    this.listener.onFrame(frame)
  }

  #checkDrained(): void {
    if (this.#closed) return
    if (this.bufferedAmount > HIGH_WATER_MARK_BYTES / 2)
      return void clock.setTimeout(() => this.#checkDrained(), DRAIN_CHECK_INTERVAL_MS)
    const waiting = this.#drainCallbacks
    this.#drainCallbacks = []
    for (const sent of waiting) sent()
  }

  #closeReason(closeCode: number, text: string): Reason {
    const { address } = this
    if (!this.#wasOpen) {
      const why =
        'browsers hide the cause: check that the server runs, allows this origin, and uses wss:// for https pages'
      return { code: 'unreachable', message: `cannot reach ${address} (${why})` }
    }
    const reason = parseCloseReason(text, address)
    if (reason) return reason
    if (closeCode === 1009) return { code: 'limit', message: `${address} rejected a frame as too large` }
    const why = text || `close code ${closeCode}`
    return { code: 'connection-lost', message: `the connection to ${address} was lost: ${why}` }
  }

  #end(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    clock.clearTimeout(this.#closeTimer)
    this.emitClose(reason)
  }
}
