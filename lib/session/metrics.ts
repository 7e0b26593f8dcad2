// The metrics of a server: sums over its sessions, ended sessions included.

import type { SessionStats } from '../types/session.js'
import { clock } from '../util/clock.js'

/** A snapshot of the sums of `session.stats` over all sessions of a server. */
export interface ServerMetrics extends SessionStats {
  /** Number of present sessions. */
  readonly sessions: number
  /** Number of clients that have not sent their hello, or that wait for `authenticate`. */
  readonly arriving: number
  /** Number of sessions so far. */
  readonly sessionsTotal: number
  /** Number of times so far that sessions were interrupted. */
  readonly sessionsInterrupted: number
  /** Number of times so far that sessions were resumed. */
  readonly sessionsResumed: number
  /** Number of clients so far that were not accepted, or could not resume their session. */
  readonly clientsRefused: number
  /** Time since the server started, in ms. */
  readonly uptime: number
  /** The clients of each gateway, by its name. */
  readonly gateways: Readonly<Record<string, GatewayMetrics>>
}

/** The clients of a gateway: connections and HTTP requests. */
export interface GatewayMetrics {
  /** Number of present clients. */
  readonly clients: number
  /** Number of clients so far. */
  readonly clientsTotal: number
  /** Number of clients so far that were not accepted. */
  readonly clientsRefused: number
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
    callsFailed: 0,
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0
  }
  #endedCount = 0
  resumedCount = 0

  /** Adds the statistics of an ended session: its activity still counts, but not the objects and bytes that it held. */
  addEnded(stats: SessionStats): void {
    this.#endedCount++
    addStats(this.#endedTotals, { ...stats, exports: 0, imports: 0, pending: 0, buffered: 0 })
  }

  snapshot(
    sessions: Iterable<{ readonly stats: SessionStats }>,
    others: Pick<ServerMetrics, 'arriving' | 'clientsRefused' | 'sessionsInterrupted' | 'gateways'>
  ): ServerMetrics {
    const sums = { ...this.#endedTotals }
    let count = 0
    for (const { stats } of sessions) {
      count++
      addStats(sums, stats)
    }
    return {
      ...sums,
      ...others,
      sessions: count,
      sessionsResumed: this.resumedCount,
      sessionsTotal: count + this.#endedCount,
      uptime: clock.now() - this.#startedAt
    }
  }
}

function addStats(sums: StatsTotals, stats: SessionStats): void {
  for (const name of Object.keys(sums) as (keyof StatsTotals)[]) sums[name] += stats[name]
}
