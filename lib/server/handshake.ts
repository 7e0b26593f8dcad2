// A socket before it belongs to a session: its first frame says whether it begins one or carries one on.

import type { Reason } from '../errors.js'
import { type FrameData, parseResumption, type Resumption } from '../protocol/frame.js'
import { DEAF, type Transport, type TransportListener } from '../transport/transport.js'
import { clock } from '../util/clock.js'
import { type Deadline, deadlineIn } from '../util/deadline.js'

/** Where a socket goes on to. */
export interface Destination {
  /** It begins a session, with this frame. */
  begin(first: FrameData): void
  /** It is to carry one on. */
  resume(resumption: Resumption): void
}

export class Reception implements TransportListener {
  readonly #deadline: Deadline

  constructor(
    private readonly transport: Transport,
    private readonly destination: Destination,
    /** How long it may take to say what it wants, in ms. */
    helloMs: number,
    /** Since when it could, by `clock.now()`. */
    since: number,
    /** Told when it has said so, or has gone. */
    private readonly left: (reception: Reception) => void
  ) {
    // What it has said by now is read, however long it took to decide who it is.
    this.#deadline = deadlineIn(Math.max(since + helloMs - clock.now(), helloMs / 4), () =>
      this.end({ code: 'limit', message: `it received no hello within ${helloMs} ms` })
    ).unref()
    transport.start(this)
  }

  opened(): void {}

  received(first: FrameData): void {
    this.closed()
    const resumption = parseResumption('resume', first)
    if (resumption) this.destination.resume(resumption)
    else this.destination.begin(first)
  }

  unref(): void {
    this.transport.unref()
  }

  closed(): void {
    this.#deadline.stop()
    this.left(this)
  }

  /** Sends the socket away. */
  end(reason: Reason): void {
    this.transport.start(DEAF)
    this.transport.close(reason)
    this.closed()
  }
}
