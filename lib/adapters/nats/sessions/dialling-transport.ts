// The client's end of a transport over NATS: it dials until an instance answers.
import { NetrefError, type Reason, type ReasonCode } from '../../../errors.js'
import type { Limits } from '../../../protocol/limits.js'
import type { PeerInstance } from '../../../types/session.js'
import { clock, type Timer } from '../../../util/clock.js'
import { type Deadline, startDeadline } from '../../../util/deadline.js'
import { createToken, instanceSubject, serviceSubject } from '../subjects.js'
import { NatsTransport } from './transport.js'
import type { TransportTable } from './transport-table.js'
import { formatDial, parseHello } from './wire.js'

/**
 * Time after which a dial without an answer is repeated, in ms: a message may be lost. It doubles each time: an instance that
 * many sessions dial needs time to answer all.
 */
const REDIAL_MS = 1000
/**
 * Least and most time after which an absent instance is dialled again, in ms: half of the time for which it was absent. All
 * of its sessions dial it.
 */
const MIN_ABSENT_REDIAL_MS = 50
const MAX_ABSENT_REDIAL_MS = 500
/** Time for an instance to connect to NATS again, in ms. One that is absent for longer counts as gone. */
const ABSENCE_MS = 5000
/** The same, if another session replaces the one that is lost, and NATS was not away. */
const ABSENCE_WITH_RENEW_MS = 350

/** Why another attempt to open the connection does not help: the bus is closed, or NATS refuses this process or its messages. */
const FINAL_CODES = new Set(['closed', 'unauthorized', 'limit'])

/** What a transport dials. */
export interface Dial {
  /** Name of the service. */
  readonly name: string
  /** Id of the instance; undefined for any. It is chosen when NATS is reached. */
  readonly chooseInstance: () => string | undefined | Promise<string | undefined>
  /** Whether the transport is to resume a session, which only that instance can. */
  readonly resumes: boolean
  /** Whether another session replaces one that is lost. */
  readonly renews: boolean
  /** Time within which the transport must be open, in ms. */
  readonly openMs: number
  /** Called with the instance that has answered. */
  readonly onAnswer: (peer: PeerInstance) => void
}

export class DiallingTransport extends NatsTransport {
  #peer: PeerInstance | undefined
  #instance: string | undefined
  #redialTimer: Timer | undefined
  #openDeadline: Deadline | undefined
  #removeListener: (() => void) | undefined
  #endTurn: (() => void) | undefined
  /** Time from which the instance was absent, by `clock.now()`. */
  #absentSince: number | undefined

  constructor(
    table: TransportTable,
    limits: Limits,
    private readonly dial: Dial
  ) {
    super(table, createToken(), limits, dial.name)
    this.once('close', () => this.#settle())
  }

  protected readonly busClosedCode = 'closed'

  override get peer(): PeerInstance | undefined {
    return this.#peer
  }

  protected begin(): void {
    const { openMs, name } = this.dial
    this.#openDeadline = startDeadline(openMs, () =>
      this.#fail(`no instance of ${name} answered within ${openMs} ms`)
    )
    this.#startDialling().catch(cause => this.#fail((cause as Error).message, cause))
  }

  async #startDialling(): Promise<void> {
    await this.table.open()
    this.#instance = await this.dial.chooseInstance()
    if (!this.destroyed) this.#dialInTurn()
  }

  /** Dials when it is its turn, and again after `redialMs` without an answer. Without a connection to NATS nothing is sent. */
  #dialInTurn(redialMs = REDIAL_MS): void {
    this.#stopDialling()
    const { table, dial } = this
    const subject =
      this.#instance === undefined ? serviceSubject(dial.name) : instanceSubject(dial.name, this.#instance)
    const send = () => table.publish(subject, formatDial(this.windowBytes), this.subject)
    this.#endTurn = table.dialTurns.take(subject, () => {
      const { events } = table.connection
      const removeListeners = [
        events.on('reconnected', send),
        events.on('error', error => this.#onNatsError(error, subject))
      ]
      this.#removeListener = () => {
        for (const remove of removeListeners) remove()
      }
      this.#redialTimer = clock.setTimeout(() => this.#dialInTurn(2 * redialMs), redialMs)
      send()
    })
  }

  /** NATS may not allow the dial. */
  #onNatsError(error: Error, dialled: string): void {
    if ('subject' in error && error.subject === dialled)
      this.#fail(error.message, new NetrefError('unauthorized', error.message, { cause: error }))
  }

  protected override onNoResponders(): void {
    if (this.#peer) return super.onNoResponders()
    const { name, resumes, renews } = this.dial
    if (!resumes)
      return this.#fail(
        this.#instance === undefined
          ? `no instance of ${name} is there`
          : `the instance ${this.#instance} of ${name} is not there`
      )
    const now = clock.now()
    this.#absentSince ??= now
    const absenceMs = renews && this.table.msSinceReconnect > ABSENCE_MS ? ABSENCE_WITH_RENEW_MS : ABSENCE_MS
    const absentMs = now - this.#absentSince
    if (absentMs < absenceMs) {
      const redialMs = Math.min(Math.max(absentMs / 2, MIN_ABSENT_REDIAL_MS), MAX_ABSENT_REDIAL_MS)
      this.#stopDialling()
      this.#redialTimer = clock.setTimeout(() => this.#dialInTurn(), Math.min(redialMs, absenceMs - absentMs))
      return
    }
    this.end({ code: 'session-lost', message: `the instance ${this.#instance} of ${name} is gone` })
  }

  protected override onHello(body: Buffer): void {
    const hello = parseHello(body)
    if (!hello) return super.onHello(body)
    // The answer to a dial that was repeated.
    if (this.#peer) return this.table.publishLost(hello.to)
    const { to, windowBytes, id, version, metadata } = hello
    this.#peer = { id, version, metadata }
    this.peerName = `the instance ${id} of ${this.dial.name}`
    this.#settle()
    this.connectTo(to, windowBytes)
    this.dial.onAnswer(this.#peer)
    this.emitOpen()
  }

  #fail(why: string, cause?: unknown): void {
    const isFinal = cause instanceof NetrefError && FINAL_CODES.has(cause.code)
    const code = isFinal ? (cause.code as ReasonCode) : 'unreachable'
    const reason: Reason = { code, message: `cannot reach ${this.dial.name}: ${why}` }
    this.end(cause === undefined ? reason : { ...reason, cause })
  }

  /** The dial is answered, or has failed. */
  #settle(): void {
    this.#openDeadline?.stop()
    this.#stopDialling()
  }

  #stopDialling(): void {
    clock.clearTimeout(this.#redialTimer)
    this.#removeListener?.()
    this.#endTurn?.()
    this.#endTurn = undefined
  }
}
