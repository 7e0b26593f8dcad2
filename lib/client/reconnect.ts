// A client whose socket is lost looks for another one: soon at first, then less and less often.

import type { Reason } from '../errors.js'
import { isTransportLoss } from '../errors.js'
import type { Resumable, ResumeStrategy } from '../link/recovery.js'
import { type FrameData, formatResume, parseResume } from '../protocol/frame.js'
import { IGNORE_EVENTS, type Transport } from '../transport/transport.js'
import { checkMs } from '../util/check-options.js'
import { clock, type Timer, unref } from '../util/clock.js'
import { type Deadline, MAX_TIMER_MS, startDeadline } from '../util/deadline.js'
import { addSharedListener, type Unsubscribe } from '../util/shared-listener.js'
import type { Signal } from '../util/web-types.js'
import type { ReconnectOptions } from './options.js'

/** How long a try may take at most, in ms. */
const MAX_ATTEMPT_MS = 10_000

export class Reconnector implements ResumeStrategy {
  resumeWindowMs = 0
  retriesFirstConnection: boolean
  #token: string | undefined
  readonly #delayMs: number
  readonly #maxDelayMs: number
  readonly #signal: Signal | undefined
  readonly #attemptTimeoutMs: number
  #attempts = 0
  #link: Resumable | undefined
  /** What carries the try that is under way, and until when it has to be answered. */
  #attempt: Transport | undefined
  #attemptDeadline: Deadline | undefined
  /** Until the next try. */
  #retryTimer: Timer | undefined
  /** Until nobody knows the session any more: what is tried then is tried for the last time. */
  #resumeDeadline: Deadline | undefined
  /** Takes the listener off the signal. */
  #removeAbortListener: Unsubscribe | undefined
  #keepsProcessAlive = true

  constructor(
    private readonly openTransport: () => Transport,
    /** How long silence may last before it means something, in ms; 0 for ever. */
    heartbeatMs: number,
    { delay = 100, maxDelay = 10_000, signal, initial = false }: ReconnectOptions
  ) {
    this.#delayMs = checkMs('reconnect.delay', delay)
    this.#maxDelayMs = checkMs('reconnect.maxDelay', maxDelay)
    this.#signal = signal
    this.retriesFirstConnection = initial
    this.#attemptTimeoutMs = Math.min(heartbeatMs || MAX_ATTEMPT_MS, MAX_ATTEMPT_MS)
  }

  get token(): string | undefined {
    return this.#token
  }

  /** Told where a connection has come about. */
  set token(token: string | undefined) {
    this.#token = token
    this.#attempts = 0
  }

  /** Looks for a socket for a new session from now on. @returns whether it may */
  prepareNewSession(): boolean {
    this.#token = undefined
    this.retriesFirstConnection = true
    return !this.#signal?.aborted
  }

  onTransportLost(link: Resumable, { retryAfter }: Reason): boolean {
    const cannotRecover =
      link.state === 'connecting' ? !this.retriesFirstConnection : this.token === undefined
    // Whatever was tried, it is that which was lost.
    this.#attempt = undefined
    if (cannotRecover || this.#signal?.aborted) return false
    if (!this.#link) {
      this.#link = link
      // Without a token there was no session yet.
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

  /** Waits for the next try: not less than the server asked for. */
  #scheduleAttempt(retryAfter = 0): void {
    const backoffMs = Math.min(this.#delayMs * 2 ** this.#attempts++, this.#maxDelayMs)
    const delayMs = retryAfter * 1000 + backoffMs * (0.5 + Math.random() / 2)
    clock.clearTimeout(this.#retryTimer)
    this.#retryTimer = clock.setTimeout(
      () => this.#startAttempt(this.#link!),
      Math.min(delayMs, MAX_TIMER_MS)
    )
    if (!this.#keepsProcessAlive) unref(this.#retryTimer)
  }

  /** Who waits does not wait so long that the session is known no more. */
  #startLastAttempt(): void {
    clock.clearTimeout(this.#retryTimer)
    if (!this.#attempt) this.#startAttempt(this.#link!)
  }

  unref(): void {
    this.#keepsProcessAlive = false
    if (this.#retryTimer) unref(this.#retryTimer)
    this.#attemptDeadline?.unref()
    this.#attempt?.unref()
  }

  #startAttempt(link: Resumable): void {
    const transport = this.openTransport()
    if (!this.#keepsProcessAlive) transport.unref()
    this.#attempt = transport
    if (this.token === undefined) return link.start(transport)
    const { token } = this
    this.#attemptDeadline = startDeadline(this.#attemptTimeoutMs, () => {
      this.#abandonAttempt()
      this.#retryOrEnd({
        code: 'connection-lost',
        message: `no answer came within ${this.#attemptTimeoutMs} ms`
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
    if (!resumed) return link.end({ code: 'protocol', message: 'it received no answer to its token' })
    this.token = resumed.token
    link.resume(transport, resumed.ack)
  }

  /** Waits for the next try, unless that would be too late: then nobody knows the session, and no answer will come. */
  #retryOrEnd(reason: Reason): void {
    if (this.#resumeDeadline!.isRunning) this.#scheduleAttempt(reason.retryAfter)
    else this.#link!.end({ ...reason, code: 'connection-lost' })
  }

  #abandonAttempt(): void {
    this.#attemptDeadline?.stop()
    this.#attempt?.start(IGNORE_EVENTS)
    this.#attempt?.close({ code: 'connection-lost', message: 'it took too long' })
    this.#attempt = undefined
  }

  /** The machine is on the net again, or somebody looks at the page: that is worth a try at once. */
  readonly #retryNow = () => {
    if (browser.document?.visibilityState === 'hidden') return
    this.#attempts = 0
    clock.clearTimeout(this.#retryTimer)
    this.#abandonAttempt()
    this.#startAttempt(this.#link!)
  }

  readonly #onAbort = () => {
    const reason: Reason = {
      code: 'connection-lost',
      message: 'the search for another connection was aborted'
    }
    this.#link!.end({ ...reason, cause: this.#signal!.reason })
  }
}

/** What a page tells of itself; nothing of it is there in Node. */
interface BrowserGlobals extends Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> {
  readonly document?: EventTarget & { readonly visibilityState: string }
}
const browser = globalThis as unknown as BrowserGlobals
