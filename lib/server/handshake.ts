// A socket before it belongs to a session: its first frame says whether it begins one or carries one on.

import type { Reason } from '../errors.js'
import { type FrameData, parseResume, type ResumeFrame } from '../protocol/frame.js'
import { IGNORE_EVENTS, type Transport, type TransportListener } from '../transport/transport.js'
import { clock } from '../util/clock.js'
import { type Deadline, startDeadline } from '../util/deadline.js'

/** Where a socket goes on to. */
export interface HandshakeHandler {
  /** It begins a session, with this frame. */
  begin(first: FrameData): void
  /** It is to carry one on. */
  resume(resumption: ResumeFrame): void
}

export class Handshake implements TransportListener {
  readonly #deadline: Deadline

  constructor(
    private readonly transport: Transport,
    private readonly handler: HandshakeHandler,
    /** How long it may take to say what it wants, in ms. */
    helloMs: number,
    /** Since when it could, by `clock.now()`. */
    connectedAt: number,
    /** Told when it has said so, or has gone. */
    private readonly onDone: (reception: Handshake) => void
  ) {
    // What it has said by now is read, however long it took to decide who it is.
    this.#deadline = startDeadline(Math.max(connectedAt + helloMs - clock.now(), helloMs / 4), () =>
      this.reject({ code: 'limit', message: `it received no hello within ${helloMs} ms` })
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

  /** Sends the socket away. */
  reject(reason: Reason): void {
    this.transport.start(IGNORE_EVENTS)
    this.transport.close(reason)
    this.onClose()
  }
}
