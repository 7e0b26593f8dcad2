// Reconnects a client after its socket is lost, with exponential backoff.

import type { Reason } from '../errors.js'
import { isTransportLoss } from '../errors.js'
import type { Resumable, ResumeStrategy } from '../link/resume-strategy.js'
import { type FrameData, formatResume, parseResume } from '../protocol/frame.js'
import type { TransportOpener } from '../transport/network-endpoint.js'
import type { Transport } from '../transport/transport.js'
import { checkMs } from '../util/check-options.js'
import { clock, type Timer, unref } from '../util/clock.js'
import { type Deadline, MAX_TIMER_MS, startDeadline } from '../util/deadline.js'
import { addSharedListener, type Unsubscribe } from '../util/shared-listener.js'
import type { Signal } from '../util/web-types.js'
import type { ReconnectOptions } from './options.js'

/** How long an attempt may take, in ms. */
const MAX_ATTEMPT_MS = 10_000

export class Reconnector implements ResumeStrategy {
  resumeWindowMs = 0
  readonly retriesFirstConnection: boolean
  #token: string | undefined
  readonly #delayMs: number
  readonly #maxDelayMs: number
  readonly #signal: Signal | undefined
  readonly #attemptTimeoutMs: number
  #attempts = 0
  #link: Resumable | undefined
  /** Transport of the current attempt, and the time by which the server must answer it. */
  #attempt: Transport | undefined
  #attemptDeadline: Deadline | undefined
  /** Timer of the next attempt. */
  #retryTimer: Timer | undefined
  /** End of the resume window: an attempt started then is the last one. */
  #resumeDeadline: Deadline | undefined
  /** Removes the listener from the signal. */
  #removeAbortListener: Unsubscribe | undefined
  #keepsProcessAlive = true
  /** Whether the page is in the back/forward cache. */
  #isSuspended = false

  constructor(
    private readonly openTransport: TransportOpener,
    /** Heartbeat interval, in ms; 0 disables it. */
    heartbeatMs: number,
    { delay = 100, maxDelay = 10_000, signal, initial = false }: ReconnectOptions
  ) {
    this.#delayMs = checkMs('connect: reconnect.delay', delay)
    this.#maxDelayMs = checkMs('connect: reconnect.maxDelay', maxDelay)
    this.#signal = signal
    this.retriesFirstConnection = initial
    this.#attemptTimeoutMs = Math.min(heartbeatMs || MAX_ATTEMPT_MS, MAX_ATTEMPT_MS)
  }

  get token(): string | undefined {
    return this.#token
  }

  /** Set when a connection is established. */
  set token(token: string | undefined) {
    this.#token = token
    this.#attempts = 0
  }

  onTransportLost(link: Resumable, { retryAfter }: Reason): boolean {
    const cannotRecover =
      link.state === 'connecting' ? !this.retriesFirstConnection : this.token === undefined
    // The lost transport is that of the current attempt.
    this.#attempt = undefined
    if (cannotRecover || this.#signal?.aborted) return false
    if (!this.#link) {
      this.#link = link
      // Without a token the session has not begun, and no resume window applies.
      if (this.token !== undefined)
        this.#resumeDeadline = startDeadline(this.resumeWindowMs, () => this.#startLastAttempt()).unref()
      if (this.#signal) this.#removeAbortListener = addSharedListener(this.#signal, 'abort', this.#onAbort)
      browser.addEventListener?.('online', this.#retryNow)
      browser.document?.addEventListener('visibilitychange', this.#retryNow)
    }
    this.#scheduleAttempt(retryAfter)
    return true
  }

  stop(came?: Transport): void {
    clock.clearTimeout(this.#retryTimer)
    this.#resumeDeadline?.stop()
    this.#attemptDeadline?.stop()
    if (this.#attempt !== came) this.#abandonAttempt()
    this.#attempt = undefined
    this.#link = undefined
    this.#removeAbortListener?.()
    browser.removeEventListener?.('online', this.#retryNow)
    browser.document?.removeEventListener('visibilitychange', this.#retryNow)
  }

  suspend(): void {
    this.#isSuspended = true
    clock.clearTimeout(this.#retryTimer)
    if (this.#link) this.#abandonAttempt()
  }

  continue(): void {
    this.#isSuspended = false
    if (this.#link) this.#retryNow()
  }

  /** Schedules the next attempt, no earlier than the server asked for. */
  #scheduleAttempt(retryAfter = 0): void {
    if (this.#isSuspended) return
    const backoffMs = Math.min(this.#delayMs * 2 ** this.#attempts++, this.#maxDelayMs)
    const delayMs = retryAfter * 1000 + backoffMs * (0.5 + Math.random() / 2)
    clock.clearTimeout(this.#retryTimer)
    this.#retryTimer = clock.setTimeout(
      () => this.#startAttempt(this.#link!),
      Math.min(delayMs, MAX_TIMER_MS)
    )
    if (!this.#keepsProcessAlive) unref(this.#retryTimer)
  }

  /** Attempts at once when the resume window ends: a later attempt cannot succeed. */
  #startLastAttempt(): void {
    clock.clearTimeout(this.#retryTimer)
    if (!this.#attempt && !this.#isSuspended) this.#startAttempt(this.#link!)
  }

  unref(): void {
    this.#keepsProcessAlive = false
    if (this.#retryTimer) unref(this.#retryTimer)
    this.#attemptDeadline?.unref()
    this.#attempt?.unref()
  }

  #startAttempt(link: Resumable): void {
    const transport = this.openTransport(this.token !== undefined)
    if (!this.#keepsProcessAlive) transport.unref()
    this.#attempt = transport
    if (this.token === undefined) return link.start(transport)
    const { token } = this
    this.#attemptDeadline = startDeadline(this.#attemptTimeoutMs, () => {
      this.#abandonAttempt()
      this.#retryOrEnd({
        code: 'connection-lost',
        message: `the server did not answer within ${this.#attemptTimeoutMs} ms`
      })
    })
    if (!this.#keepsProcessAlive) this.#attemptDeadline.unref()
    transport.start({
      onOpen: () => transport.send(formatResume('resume', { token, ack: link.receiver.receivedFrames })),
      onFrame: frame => this.#onAnswer(link, transport, frame),
      onClose: reason => {
        this.#attemptDeadline!.stop()
        this.#attempt = undefined
        if (isTransportLoss(reason)) this.#retryOrEnd(reason)
        else link.end(reason)
      }
    })
  }

  #onAnswer(link: Resumable, transport: Transport, frame: FrameData): void {
    const resumed = parseResume('resumed', frame)
    if (!resumed)
      return link.end({ code: 'protocol', message: 'the answer to the resume token is malformed' })
    this.token = resumed.token
    link.resume(transport, resumed.ack)
  }

  /** Schedules the next attempt, or ends the session if the resume window has ended. */
  #retryOrEnd(reason: Reason): void {
    if (this.#resumeDeadline!.isRunning) this.#scheduleAttempt(reason.retryAfter)
    else this.#link!.end({ ...reason, code: 'connection-lost' })
  }

  #abandonAttempt(): void {
    this.#attemptDeadline?.stop()
    this.#attempt?.abandon({ code: 'connection-lost', message: 'the attempt timed out' })
    this.#attempt = undefined
  }

  /** Attempts at once: the machine is online again, or the page became visible. */
  readonly #retryNow = () => {
    if (this.#isSuspended || browser.document?.visibilityState === 'hidden') return
    this.#attempts = 0
    clock.clearTimeout(this.#retryTimer)
    this.#abandonAttempt()
    this.#startAttempt(this.#link!)
  }

  readonly #onAbort = () => {
    const reason: Reason = {
      code: 'connection-lost',
      message: 'reconnecting was aborted'
    }
    this.#link!.end({ ...reason, cause: this.#signal!.reason })
  }
}

/** Members of a page's global object; Node has none of them. */
interface BrowserGlobals extends Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> {
  readonly document?: EventTarget & { readonly visibilityState: string }
}
const browser = globalThis as unknown as BrowserGlobals
