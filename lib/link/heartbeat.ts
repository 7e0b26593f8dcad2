// Detects a dead transport: a silent peer is asked for an acknowledgement, and the transport is lost if none arrives.
//
// Any frame proves that the peer is alive, so a busy session sends no requests. The peer answers without a timer of its
// own: a page in the background, whose timers hardly run, stays connected.

import { Deadline, startDeadline } from '../util/deadline.js'

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

/** Time for the answer to a probe, in ms, if the interval of the heartbeat is not shorter. */
const PROBE_TIMEOUT_MS = 3000
/** Checks in an interval. After one silent check the peer is asked, and has a whole interval for its answer. */
const CHECKS_PER_INTERVAL = 2

export class Heartbeat extends Deadline {
  /** Number of frames that have arrived. */
  frames = 0
  #framesAtLastCheck = 0
  #probeDeadline: Deadline | undefined
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
    this.#framesAtLastCheck = -1
    super.start()
  }

  override stop(): void {
    super.stop()
    this.#probeDeadline?.stop()
  }

  /** Asks the peer at once, as the network has changed. It has less time for its answer than in other checks. */
  probe(): void {
    if (this.intervalMs === 0) return
    const { frames } = this
    const timeoutMs = Math.min(PROBE_TIMEOUT_MS, this.intervalMs)
    this.target.requestAck()
    this.#probeDeadline?.stop()
    this.#probeDeadline = startDeadline(timeoutMs, () => {
      if (this.frames === frames && !this.target.isReadingPaused) this.target.onPeerSilent(timeoutMs)
    }).unref()
  }

  protected override countElapsedParts(passed: number, late: boolean): number {
    const { target } = this
    const alive = this.frames !== this.#framesAtLastCheck || target.isReadingPaused
    // A peer that sends a long frame hears nothing of this side either, unless it is asked.
    const inProgress =
      target.bytesReceived !== this.#bytesReceived || target.pendingWriteBytes < this.#pendingWriteBytes
    this.#framesAtLastCheck = this.frames
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
