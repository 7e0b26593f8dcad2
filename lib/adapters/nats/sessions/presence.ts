// Finds out soon that the process at the other end of a transport has gone, even while nothing is sent.
import { clock, type Timer, unref } from '../../../util/clock.js'
import { createToken, processOf } from '../subjects.js'

/** Interval between two probes of a process, in ms. With more processes than are probed at a time it is longer. */
const PROBE_MS = 250
/** Most processes that are probed at a time: the probes of P processes to each other are at most 200 · P a second. */
const MAX_PROBES = 50
/** Last part of the subject of a probe. It is never that of a transport: nobody answers. */
const PROBE = 'probe'

/** A transport whose other end is in a watched process. */
export interface WatchedTransport {
  /** The other end is gone. */
  onLost(message: string): void
  once(event: 'close', listener: () => void): unknown
}

/** Publishes for a process. */
export interface Publisher {
  subjectOf(token: string): string
  publish(subject: string, data: string, reply: string): void
}

/** A process, and the transports whose other ends are there. */
interface WatchedProcess {
  /** Last part of the subject at which NATS says that the process is gone. */
  readonly token: string
  readonly transports: Set<WatchedTransport>
}

/**
 * Publishes a message to each process in which other ends are. Nobody answers it. But if nobody subscribes to its subject any
 * more, NATS says so. It costs one message each quarter of a second, however many transports lead to the process, and at most
 * 200 messages a second in all.
 */
export class Presence {
  /** By subject of the process. */
  readonly #watched = new Map<string, WatchedProcess>()
  readonly #subjectsByToken = new Map<string, string>()
  #timer: Timer | undefined

  constructor(private readonly publisher: Publisher) {}

  /** Watches the process of a subject until the transport closes. If the process goes, the transport is lost. */
  watch(subject: string, transport: WatchedTransport): void {
    const process = processOf(subject)!
    let watched = this.#watched.get(process)
    if (!watched) {
      watched = { token: createToken(), transports: new Set() }
      this.#watched.set(process, watched)
      this.#subjectsByToken.set(watched.token, process)
    }
    watched.transports.add(transport)
    const { token, transports } = watched
    transport.once('close', () => {
      transports.delete(transport)
      if (transports.size > 0 || this.#watched.get(process)?.token !== token) return
      this.#watched.delete(process)
      this.#subjectsByToken.delete(token)
      if (this.#watched.size === 0) this.#stop()
    })
    if (this.#timer) return
    this.#timer = clock.setInterval(() => this.#probe(), PROBE_MS)
    unref(this.#timer)
  }

  #probe(): void {
    const due = [...this.#watched].slice(0, MAX_PROBES)
    for (const [process, watched] of due) {
      this.publisher.publish(`${process}.${PROBE}`, '', this.publisher.subjectOf(watched.token))
      // The others come first next time.
      this.#watched.delete(process)
      this.#watched.set(process, watched)
    }
  }

  #stop(): void {
    clock.clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Handles a message to no transport. @returns whether it belongs to the probes */
  onMessage(token: string): boolean {
    const process = this.#subjectsByToken.get(token)
    if (process !== undefined)
      for (const transport of [...this.#watched.get(process)!.transports]) transport.onLost('it has gone')
    return process !== undefined || token === PROBE
  }
}
