// Detects a dead transport: a silent peer is asked for an acknowledgement, and the transport is lost if none arrives.
//
// Any frame proves that the peer is alive, so a busy session sends no requests. The peer answers without a timer of its
// own: a page in the background, whose timers hardly run, stays connected.

import { Deadline } from '../util/deadline.js'

/** The link of a heartbeat. */
export interface HeartbeatTarget {
  /** Whether silence proves nothing, because this side does not read. */
  readonly isReadingPaused: boolean
  /** Bytes received, those of incomplete frames included; undefined if the transport does not know. */
  readonly bytesReceived: number | undefined
  /** Decreases as sent bytes leave, which proves that the peer reads. */
  readonly pendingWriteBytes: number
  requestAck(): void
  /** The peer has sent nothing for that many ms, although it was asked. */
  onPeerSilent(ms: number): void
}

/** Checks in an interval. After one silent check the peer is asked, and has a whole interval for its answer. */
const CHECKS_PER_INTERVAL = 2

export class Heartbeat extends Deadline {
  /** Whether a frame has arrived since the last check. */
  frameReceived = false
  #bytesReceived: number | undefined
  #pendingWriteBytes = 0

  constructor(
    /** 0 for no heartbeat. */
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
    // A peer that sends a long frame hears nothing of this side either, unless it is asked.
    const inProgress =
      target.bytesReceived !== this.#bytesReceived || target.pendingWriteBytes < this.#pendingWriteBytes
    this.frameReceived = false
    this.#bytesReceived = target.bytesReceived
    this.#pendingWriteBytes = target.pendingWriteBytes
    const silentParts = alive ? 0 : inProgress ? 1 : passed
    // A process that was blocked asks again: what it received before proves nothing.
    const countedParts = late ? Math.max(silentParts, 1) : silentParts
    if (countedParts === 1) target.requestAck()
    return countedParts
  }

  protected onExpired(): void {
    this.target.onPeerSilent(this.timeoutMs)
  }
}
