// Whether the other side is alive: where nothing comes, it is asked, and where no answer comes it is taken for gone.
//
// Any frame is a sign of life, so that a session that is used asks nothing. Who is asked answers as a message comes,
// and needs no timer for that: a page in the background, whose timers hardly run, is kept alive by who asks it.

import { Deadline } from '../util/deadline.js'

/** What a heartbeat knows of the line, and does with it. */
export interface HeartbeatTarget {
  /** Whether silence says nothing, as this side does not listen. */
  readonly isReadingPaused: boolean
  /** Bytes that came so far, of frames that are not complete, too: where a transport can tell. */
  readonly bytesReceived: number | undefined
  /** Falls as what was sent leaves: the other side reads then. */
  readonly pendingWriteBytes: number
  requestAck(): void
  /** Nothing has come for that many ms, and no answer either. */
  onPeerSilent(ms: number): void
}

/** Looks in an interval. Asked after one of them in silence, the other side has an interval for its answer. */
const CHECKS_PER_INTERVAL = 2

export class Heartbeat extends Deadline {
  /** Whether something came since the last look. */
  frameReceived = false
  #bytesReceived: number | undefined
  #pendingWriteBytes = 0

  constructor(
    /** In ms; 0 for none. */
    private readonly intervalMs: number,
    private readonly target: HeartbeatTarget
  ) {
    super((intervalMs * (CHECKS_PER_INTERVAL + 1)) / CHECKS_PER_INTERVAL, CHECKS_PER_INTERVAL + 1)
    this.unref()
  }

  override start(): void {
    if (this.intervalMs === 0) return
    this.frameReceived = true
    super.start()
  }

  protected override countElapsedParts(passed: number, late: boolean): number {
    const { target } = this
    const alive = this.frameReceived || target.isReadingPaused
    // A frame that takes so long keeps whoever sends it from hearing of us, too, unless it is asked.
    const inProgress =
      target.bytesReceived !== this.#bytesReceived || target.pendingWriteBytes < this.#pendingWriteBytes
    this.frameReceived = false
    this.#bytesReceived = target.bytesReceived
    this.#pendingWriteBytes = target.pendingWriteBytes
    const silentParts = alive ? 0 : inProgress ? 1 : passed
    // Who did not listen asks: what it heard before says nothing.
    const countedParts = late ? Math.max(silentParts, 1) : silentParts
    if (countedParts === 1) target.requestAck()
    return countedParts
  }

  protected onExpired(): void {
    this.target.onPeerSilent(this.timeoutMs)
  }
}
