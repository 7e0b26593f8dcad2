// A transport that is handed on: from who receives a client to its session, from a try to the link it is for.
import type { Reason } from './errors.js'
import type { Transport, TransportListener } from './transport.js'

export class Relay implements Transport, TransportListener {
  #listener: TransportListener | undefined
  #isOpen = false

  constructor(private readonly inner: Transport) {}

  /** Called again it delivers to another listener, which is told at once that the transport is open, if it is. */
  start(listener: TransportListener): void {
    const first = this.#listener === undefined
    this.#listener = listener
    if (first) this.inner.start(this)
    else if (this.#isOpen) listener.opened()
  }

  opened(): void {
    this.#isOpen = true
    this.#listener!.opened()
  }
  received(frame: string | Uint8Array): void {
    this.#listener!.received(frame)
  }
  closed(reason: Reason): void {
    this.#isOpen = false
    this.#listener!.closed(reason)
  }

  send(frame: string | Uint8Array, sent?: () => void): void {
    this.inner.send(frame, sent)
  }
  get buffered(): number {
    return this.inner.buffered
  }
  get arrived(): number | undefined {
    return this.inner.arrived
  }
  pause(): void {
    this.inner.pause()
  }
  resume(): void {
    this.inner.resume()
  }
  close(reason: Reason): void {
    this.inner.close(reason)
  }
}
