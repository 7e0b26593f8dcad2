// Whether the other side is alive: where nothing comes, it is asked, and where no answer comes it is taken for gone.
//
// Any frame is a sign of life, so that a session that is used asks nothing. Who is asked answers as a message comes,
// and needs no timer for that: a page in the background, whose timers hardly run, is kept alive by who asks it.

import { Deadline } from '../util/deadline.js'

/** What a heartbeat knows of the line, and does with it. */
export interface Pulse {
  /** Whether silence says nothing, as this side does not listen. */
  readonly stopped: boolean
  /** Bytes that came so far, of frames that are not complete, too: where a transport can tell. */
  readonly arrived: number | undefined
  /** Falls as what was sent leaves: the other side reads then. */
  readonly outgoing: number
  ask(): void
  /** Nothing has come for that many ms, and no answer either. */
  lost(ms: number): void
}

/** Looks in an interval. Asked after one of them in silence, the other side has an interval for its answer. */
const LOOKS = 2

export class Heartbeat extends Deadline {
  /** Whether something came since the last look. */
  heard = false
  #arrived: number | undefined
  #outgoing = 0

  constructor(
    /** In ms; 0 for none. */
    private readonly interval: number,
    private readonly pulse: Pulse
  ) {
    super((interval * (LOOKS + 1)) / LOOKS, LOOKS + 1)
    this.unref()
  }

  override start(): void {
    if (this.interval === 0) return
    this.heard = true
    super.start()
  }

  protected override look(passed: number, late: boolean): number {
    const { pulse } = this
    const heard = this.heard || pulse.stopped
    // A frame that takes so long keeps whoever sends it from hearing of us, too, unless it is asked.
    const halfway = pulse.arrived !== this.#arrived || pulse.outgoing < this.#outgoing
    this.heard = false
    this.#arrived = pulse.arrived
    this.#outgoing = pulse.outgoing
    const silent = heard ? 0 : halfway ? 1 : passed
    // Who did not listen asks: what it heard before says nothing.
    const asks = late ? Math.max(silent, 1) : silent
    if (asks === 1) pulse.ask()
    return asks
  }

  protected expired(): void {
    this.pulse.lost(this.ms)
  }
}
