// What a server has done, in numbers: its sessions added up, those that have ended, too.

import type { SessionStats } from '../types/session.js'
import { clock } from '../util/clock.js'

/** A snapshot: what `session.stats` says, summed up over all sessions of a server. */
export interface ServerMetrics extends SessionStats {
  /** Sessions at present. */
  readonly sessions: number
  /** Clients that have not said hello, and those that wait for `authenticate`. */
  readonly arriving: number
  /** Sessions so far. */
  readonly sessionsTotal: number
  /** How long the server has been there, in ms. */
  readonly uptime: number
}

type Sums = { -readonly [K in keyof SessionStats]: SessionStats[K] }

export class Metrics {
  readonly #began = clock.now()
  readonly #past: Sums = {
    exports: 0,
    imports: 0,
    pending: 0,
    buffered: 0,
    callsIn: 0,
    callsOut: 0,
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0
  }
  #ended = 0

  /** A session has ended: what it did still counts, what it held does not. */
  ended(stats: SessionStats): void {
    this.#ended++
    add(this.#past, { ...stats, exports: 0, imports: 0, pending: 0, buffered: 0 })
  }

  snapshot(sessions: Iterable<{ readonly stats: SessionStats }>, arriving: number): ServerMetrics {
    const sums = { ...this.#past }
    let count = 0
    for (const { stats } of sessions) {
      count++
      add(sums, stats)
    }
    return {
      ...sums,
      sessions: count,
      arriving,
      sessionsTotal: count + this.#ended,
      uptime: clock.now() - this.#began
    }
  }
}

function add(sums: Sums, stats: SessionStats): void {
  for (const name of Object.keys(sums) as (keyof Sums)[]) sums[name] += stats[name]
}
