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

type StatsTotals = { -readonly [K in keyof SessionStats]: SessionStats[K] }

export class MetricsCollector {
  readonly #startedAt = clock.now()
  readonly #endedTotals: StatsTotals = {
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
  #endedCount = 0

  /** A session has ended: what it did still counts, what it held does not. */
  addEnded(stats: SessionStats): void {
    this.#endedCount++
    addStats(this.#endedTotals, { ...stats, exports: 0, imports: 0, pending: 0, buffered: 0 })
  }

  snapshot(sessions: Iterable<{ readonly stats: SessionStats }>, arriving: number): ServerMetrics {
    const sums = { ...this.#endedTotals }
    let count = 0
    for (const { stats } of sessions) {
      count++
      addStats(sums, stats)
    }
    return {
      ...sums,
      sessions: count,
      arriving,
      sessionsTotal: count + this.#endedCount,
      uptime: clock.now() - this.#startedAt
    }
  }
}

function addStats(sums: StatsTotals, stats: SessionStats): void {
  for (const name of Object.keys(sums) as (keyof StatsTotals)[]) sums[name] += stats[name]
}
