// Frames over the WebSocket that a page has. It cannot be paused, and says little of why it closes.

import type { Reason } from '../errors.js'
import { clock, type Timer } from '../util/clock.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import { HIGH_WATER_MARK_BYTES, type Transport, type TransportListener } from './transport.js'

/** What netref uses of it. */
export interface BrowserWebSocket {
  binaryType: string
  readonly bufferedAmount: number
  send(frame: string | Uint8Array): void
  close(code: number, text: string): void
  addEventListener(type: string, listener: (event: never) => void): void
}

/** The code of every farewell: the others are not a page's to use. */
const CLOSE_CODE = 4000
/** How long the other end may take to answer a farewell, in ms. */
const CLOSE_TIMEOUT_MS = 2000
/** How often to look whether there is room again, in ms: no event tells. */
const DRAIN_CHECK_INTERVAL_MS = 10

export class BrowserWebSocketTransport implements Transport {
  readonly transfersBuffers = false
  readonly bytesReceived = undefined
  #listener!: TransportListener
  #wasOpen = false
  #closed = false
  /** Told when there is room again. */
  #drainCallbacks: (() => void)[] = []
  #closeTimer: Timer | undefined

  constructor(
    private readonly socket: BrowserWebSocket,
    private readonly address: string,
    /** The longest frame the other end may send, in bytes. */
    private readonly maxPayload: number
  ) {}

  start(listener: TransportListener): void {
    this.#listener = listener
    const { socket } = this
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => {
      this.#wasOpen = true
      listener.onOpen()
    })
    socket.addEventListener('message', ({ data }: { data: string | ArrayBuffer }) => {
      if (!this.#closed) this.#onMessage(typeof data === 'string' ? data : new Uint8Array(data))
    })
    // What a policy of the page forbids, Chromium does not close.
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

  /** A page cannot stop reading. */
  pause(): void {}

  resume(): void {}

  close(reason: Reason): void {
    this.socket.close(CLOSE_CODE, formatCloseReason(reason))
    this.#closeTimer = clock.setTimeout(() => this.#end(reason), CLOSE_TIMEOUT_MS)
  }

  /** A page is not kept by its sockets. */
  unref(): void {}

  #onMessage(frame: string | Uint8Array): void {
    if (frame.length > this.maxPayload) {
      const reason: Reason = { code: 'limit', message: `${this.address} sent more than there was room for` }
      this.close(reason)
      return this.#end(reason)
    }
    this.#listener.onFrame(frame)
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
        'a page is not told why: is it there, does it let this page in, has a page of https a wss address?'
      return { code: 'unreachable', message: `cannot reach ${address} (${why})` }
    }
    const told = parseCloseReason(text, address)
    if (told) return told
    if (closeCode === 1009) return { code: 'limit', message: `${address} refused a frame as too large` }
    const why = text || `close code ${closeCode}`
    return { code: 'connection-lost', message: `the connection to ${address} was lost: ${why}` }
  }

  #end(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    clock.clearTimeout(this.#closeTimer)
    this.#listener.onClose(reason)
  }
}
