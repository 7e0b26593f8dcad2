// Reads the first frame of a socket, which begins a session or resumes one.

import type { Reason } from '../errors.js'
import { type FrameData, parseResume, type ResumeFrame } from '../protocol/frame.js'
import type { Transport, TransportListener } from '../transport/transport.js'
import { clock } from '../util/clock.js'
import { type Deadline, startDeadline } from '../util/deadline.js'

/** Handles the outcome of a handshake. */
export interface HandshakeHandler {
  /** The client begins a session with this frame. */
  begin(first: FrameData): void
  /** The client resumes a session. */
  resume(resumption: ResumeFrame): void
  /** The client was rejected before its first frame. */
  onRejected(reason: Reason): void
}

export class Handshake implements TransportListener {
  readonly #deadline: Deadline

  constructor(
    private readonly transport: Transport,
    private readonly handler: HandshakeHandler,
    /** How long the client may take to send its first frame, in ms. */
    helloMs: number,
    /** When the client could send its first byte, by `clock.now()`. */
    connectedAt: number,
    /** Called when the first frame has arrived, or the socket has closed. */
    private readonly onDone: (handshake: Handshake) => void
  ) {
    // Frames that have arrived are still read, however long authentication took.
    this.#deadline = startDeadline(Math.max(connectedAt + helloMs - clock.now(), helloMs / 4), () =>
      this.reject({ code: 'limit', message: `no hello was received within ${helloMs} ms` })
    ).unref()
    transport.start(this)
  }

  onOpen(): void {}

  onFrame(first: FrameData): void {
    this.onClose()
    const resumption = parseResume('resume', first)
    if (resumption) this.handler.resume(resumption)
    else this.handler.begin(first)
  }

  unref(): void {
    this.transport.unref()
  }

  onClose(): void {
    this.#deadline.stop()
    this.onDone(this)
  }

  /** Closes the socket with a reason. */
  reject(reason: Reason): void {
    this.transport.abandon(reason)
    this.onClose()
    this.handler.onRejected(reason)
  }
}
