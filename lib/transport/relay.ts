// A transport that is handed on: from who receives a client to its session, from a try to the link it is for.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { TransportListener } from './transport.js'
import { TransportWrapper } from './transport-wrapper.js'

export class Relay extends TransportWrapper implements TransportListener {
  #listener: TransportListener | undefined
  #isOpen = false

  /** Called again it delivers to another listener, which is told at once that the transport is open, if it is. */
  start(listener: TransportListener): void {
    const first = this.#listener === undefined
    this.#listener = listener
    if (first) this.inner.start(this)
    else if (this.#isOpen) listener.onOpen()
  }

  onOpen(): void {
    this.#isOpen = true
    this.#listener!.onOpen()
  }
  onFrame(frame: FrameData): void {
    this.#listener!.onFrame(frame)
  }
  onClose(reason: Reason): void {
    this.#isOpen = false
    this.#listener!.onClose(reason)
  }
}
