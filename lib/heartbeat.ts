// Whether the other side is alive: where nothing comes, it is asked, and where no answer comes it is taken for gone.
//
// Any frame is a sign of life, so that a session that is used asks nothing. Who is asked answers as a message comes,
// and needs no timer for that: a page in the background, whose timers hardly run, is kept alive by who asks it.

import { clock, type Timer, unref } from './clock.js'

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

/** Turns in an interval. Asked after one of them in silence, the other side has an interval for its answer. */
const TURNS = 2

export class Heartbeat {
  /** Whether something came since the last turn. */
  heard = false
  #silent = 0
  #arrived: number | undefined
  #outgoing = 0
  #turned = 0
  #timer: Timer | undefined

  constructor(
    /** In ms; 0 for none. */
    private readonly interval: number,
    private readonly pulse: Pulse
  ) {}

  start(): void {
    this.stop()
    if (this.interval === 0) return
    this.heard = true
    this.#turned = clock.wall()
    this.#timer = clock.setInterval(() => this.#turn(), this.interval / TURNS)
    unref(this.#timer)
  }

  stop(): void {
    clock.clearInterval(this.#timer)
  }

  #turn(): void {
    const { pulse } = this
    const now = clock.wall()
    // This side slept, or had no time: it has not listened, and what it heard before says nothing.
    const slept = now - this.#turned > this.interval
    this.#turned = now
    const heard = this.heard || pulse.stopped
    // A frame that takes so long keeps whoever sends it from hearing of us, too, unless it is asked.
    const halfway = !heard && (pulse.arrived !== this.#arrived || pulse.outgoing < this.#outgoing)
    this.heard = false
    this.#arrived = pulse.arrived
    this.#outgoing = pulse.outgoing
    this.#silent = slept || halfway ? 1 : heard ? 0 : this.#silent + 1
    if (this.#silent === 1) pulse.ask()
    else if (this.#silent > TURNS) pulse.lost((this.#silent * this.interval) / TURNS)
  }
}
