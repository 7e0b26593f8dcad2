// The server's end of a socket until its client has said hello: little of it is read before it is known who that is.

import type { Reason } from '../errors.js'
import { tokenIn } from '../transport/token.js'
import type { Transport, TransportListener } from '../transport/transport.js'
import { Wrapped } from '../transport/transport-wrapper.js'
import type { WebSocketTransport } from '../transport/websocket.js'
import { clock } from '../util/clock.js'
import { inMicrotask } from '../util/scheduler.js'
import { type HelloBudget, UNKNOWN_BYTES, type Unheard } from './hello-budget.js'

/** What Arriving needs of the transport that it wraps. */
export type Watched = Transport & Pick<WebSocketTransport, 'watch' | 'terminate'>

/** It tells whether the client said a token, and keeps what follows until a session takes it. */
export class Arriving extends Wrapped implements TransportListener, Unheard {
  /** Resolves with the first thing the client said, if that was a token, and with undefined if it was not. */
  readonly token: Promise<string | undefined>
  /** When the client could begin to speak. */
  readonly since = clock.now()
  bytes = 0
  #heard: ((token: string | undefined) => void) | undefined
  #listener: TransportListener | undefined
  readonly #kept: (string | Uint8Array)[] = []
  #turnedAway = false
  #waits = false
  #over: Reason | undefined
  /** Set until the client has said hello. */
  #unwatch: (() => void) | undefined

  constructor(
    private readonly socket: Watched,
    private readonly budget: HelloBudget,
    /** How many raw bytes the client may send until it has said hello. */
    private readonly most: number
  ) {
    super(socket)
    this.token = new Promise(resolve => {
      this.#heard = resolve
    })
    socket.start(this)
    this.#unwatch = socket.watch(bytes => this.#came(bytes))
  }

  /** Whether the client has said something. */
  get heard(): boolean {
    return this.#heard === undefined
  }

  start(listener: TransportListener): void {
    listener.opened()
    // A session is begun before it is told of frames.
    inMicrotask(() => {
      this.#listener = listener
      const kept = this.#kept.splice(0)
      this.govern()
      for (const frame of kept) this.received(frame)
      if (this.#over) listener.closed(this.#over)
    })
  }

  /** Who is turned away is read from again, for its end: nothing more of it is kept. */
  override close(reason: Reason): void {
    if (!this.#listener) {
      this.#turnedAway = true
      this.govern()
    }
    this.inner.close(reason)
  }

  /** A server's socket is open from the first. */
  opened(): void {}

  received(frame: string | Uint8Array): void {
    if (this.#heard && this.#isToken(frame)) return
    if (this.#listener) {
      if (this.#unwatch) this.#said()
      return this.#listener.received(frame)
    }
    if (this.#turnedAway) return
    this.#kept.push(frame)
    this.govern()
  }

  closed(reason: Reason): void {
    this.#heard?.(undefined)
    this.#over = reason
    if (this.#unwatch) this.#said()
    this.#listener?.closed(reason)
  }

  #isToken(first: string | Uint8Array): boolean {
    const token = tokenIn(first)
    this.#hear(token)
    return token !== undefined
  }

  #hear(token: string | undefined): void {
    this.#heard?.(token)
    this.#heard = undefined
  }

  get #undecided(): boolean {
    return !this.#listener && !this.#turnedAway
  }

  #came(bytes: number): void {
    // What came along with the hello is of the session.
    if (!this.#unwatch) return
    this.bytes += bytes
    if (!this.budget.add(this, bytes) || this.bytes > this.most) return this.socket.terminate()
    // What is longer is no token.
    if (this.#undecided && this.bytes > UNKNOWN_BYTES) this.#hear(undefined)
    this.govern()
  }

  govern(): void {
    if (!this.#unwatch) return
    const more = this.bytes > UNKNOWN_BYTES || this.#kept.length > 0
    this.#wait(this.#undecided ? more : !this.budget.allows(this))
  }

  #wait(waits: boolean): void {
    if (waits === this.#waits) return
    this.#waits = waits
    if (waits) this.inner.pause()
    else this.inner.resume()
  }

  #said(): void {
    this.#unwatch!()
    this.#unwatch = undefined
    this.budget.remove(this)
    this.#wait(false)
  }
}
