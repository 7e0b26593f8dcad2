// The base class of all transports: the listener of a transport, which may be replaced or removed while it runs.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { PeerInstance } from '../types/session.js'
import type { Transport, TransportListener } from './transport.js'

const ignore = () => {}
const IGNORE_EVENTS: TransportListener = { onOpen: ignore, onFrame: ignore, onClose: ignore }

export abstract class BaseTransport implements Transport {
  /** Receives the events. */
  protected listener = IGNORE_EVENTS
  #isStarted = false
  #isOpen = false

  /** Begins to deliver events to a listener, which replaces the one before. */
  start(listener: TransportListener): void {
    this.listener = listener
    if (!this.#isStarted) {
      this.#isStarted = true
      this.begin()
    } else if (this.#isOpen) listener.onOpen()
  }

  /** Closes the transport, and delivers no further event. */
  abandon(reason: Reason): void {
    this.listener = IGNORE_EVENTS
    this.close(reason)
  }

  /** Begins to deliver events. Called once. */
  protected abstract begin(): void

  protected emitOpen(): void {
    this.#isOpen = true
    this.listener.onOpen()
  }

  protected emitClose(reason: Reason): void {
    this.#isOpen = false
    this.listener.onClose(reason)
  }

  /** The instance at the other end, if it is one of several. */
  get peer(): PeerInstance | undefined {
    return undefined
  }

  abstract readonly transfersBuffers: boolean
  abstract readonly bufferedAmount: number
  abstract readonly pendingWriteBytes: number
  abstract readonly bytesReceived: number | undefined
  abstract send(frame: FrameData, onSent?: () => void): void
  abstract pause(): void
  abstract resume(): void
  abstract close(reason: Reason): void
  abstract unref(): void
}
