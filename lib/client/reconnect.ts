// A client whose socket is lost looks for another one: soon at first, then less and less often.

import type { Reason } from '../errors.js'
import { isLoss } from '../errors.js'
import type { Recovery, Resumable } from '../link/recovery.js'
import { type FrameData, formatResumption, parseResumption } from '../protocol/frame.js'
import { DEAF, type Transport } from '../transport/transport.js'
import { checkMs } from '../util/check-options.js'
import { clock, type Timer, unref } from '../util/clock.js'
import { type Deadline, deadlineIn, LONGEST } from '../util/deadline.js'
import { type Off, share } from '../util/shared-listener.js'
import type { Signal } from '../util/web-types.js'
import type { ReconnectOptions } from './options.js'

/** How long a try may take at most, in ms. */
const TRY = 10_000

export class Reconnect implements Recovery {
  goodFor = 0
  initial: boolean
  #token: string | undefined
  readonly #delay: number
  readonly #maxDelay: number
  readonly #signal: Signal | undefined
  readonly #patience: number
  #tries = 0
  #link: Resumable | undefined
  /** What carries the try that is under way, and until when it has to be answered. */
  #trying: Transport | undefined
  #answer: Deadline | undefined
  /** Until the next try. */
  #timer: Timer | undefined
  /** Until nobody knows the session any more: what is tried then is tried for the last time. */
  #deadline: Deadline | undefined
  /** Takes the listener off the signal. */
  #unlisten: Off | undefined
  #keepsAlive = true

  constructor(
    private readonly open: () => Transport,
    /** How long silence may last before it means something, in ms; 0 for ever. */
    heartbeat: number,
    { delay = 100, maxDelay = 10_000, signal, initial = false }: ReconnectOptions
  ) {
    this.#delay = checkMs('reconnect.delay', delay)
    this.#maxDelay = checkMs('reconnect.maxDelay', maxDelay)
    this.#signal = signal
    this.initial = initial
    this.#patience = Math.min(heartbeat || TRY, TRY)
  }

  get token(): string | undefined {
    return this.#token
  }

  /** Told where a connection has come about. */
  set token(token: string | undefined) {
    this.#token = token
    this.#tries = 0
  }

  /** Looks for a socket for a new session from now on. @returns whether it may */
  renew(): boolean {
    this.#token = undefined
    this.initial = true
    return !this.#signal?.aborted
  }

  lost(link: Resumable, { retryAfter }: Reason): boolean {
    const hopeless = link.state === 'connecting' ? !this.initial : this.token === undefined
    // Whatever was tried, it is that which was lost.
    this.#trying = undefined
    if (hopeless || this.#signal?.aborted) return false
    if (!this.#link) {
      this.#link = link
      // Without a token there was no session yet.
      if (this.token !== undefined) this.#deadline = deadlineIn(this.goodFor, () => this.#lastTry()).unref()
      if (this.#signal) this.#unlisten = share(this.#signal, 'abort', this.#aborted)
      page.addEventListener?.('online', this.#nudged)
      page.document?.addEventListener('visibilitychange', this.#nudged)
    }
    this.#wait(retryAfter)
    return true
  }

  stop(came?: Transport): void {
    clock.clearTimeout(this.#timer)
    this.#deadline?.stop()
    this.#answer?.stop()
    if (this.#trying !== came) this.#giveUp()
    this.#trying = undefined
    this.#link = undefined
    this.#unlisten?.()
    page.removeEventListener?.('online', this.#nudged)
    page.document?.removeEventListener('visibilitychange', this.#nudged)
  }

  /** Waits for the next try: not less than the server asked for. */
  #wait(retryAfter = 0): void {
    const most = Math.min(this.#delay * 2 ** this.#tries++, this.#maxDelay)
    const asked = retryAfter * 1000 + most * (0.5 + Math.random() / 2)
    clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => this.#try(this.#link!), Math.min(asked, LONGEST))
    if (!this.#keepsAlive) unref(this.#timer)
  }

  /** Who waits does not wait so long that the session is known no more. */
  #lastTry(): void {
    clock.clearTimeout(this.#timer)
    if (!this.#trying) this.#try(this.#link!)
  }

  unref(): void {
    this.#keepsAlive = false
    if (this.#timer) unref(this.#timer)
    this.#answer?.unref()
    this.#trying?.unref()
  }

  #try(link: Resumable): void {
    const transport = this.open()
    if (!this.#keepsAlive) transport.unref()
    this.#trying = transport
    if (this.token === undefined) return link.start(transport)
    const { token } = this
    this.#answer = deadlineIn(this.#patience, () => {
      this.#giveUp()
      this.#again({ code: 'connection-lost', message: `no answer came within ${this.#patience} ms` })
    })
    if (!this.#keepsAlive) this.#answer.unref()
    transport.start({
      opened: () => transport.send(formatResumption('resume', { token, received: link.receiver.frames })),
      received: frame => this.#answered(link, transport, frame),
      closed: reason => {
        this.#answer!.stop()
        this.#trying = undefined
        if (isLoss(reason)) this.#again(reason)
        else link.end(reason)
      }
    })
  }

  #answered(link: Resumable, transport: Transport, frame: FrameData): void {
    const resumed = parseResumption('resumed', frame)
    if (!resumed) return link.end({ code: 'protocol', message: 'it received no answer to its token' })
    this.token = resumed.token
    link.carryOn(transport, resumed.received)
  }

  /** Waits for the next try, unless that would be too late: then nobody knows the session, and no answer will come. */
  #again(reason: Reason): void {
    if (this.#deadline!.running) this.#wait(reason.retryAfter)
    else this.#link!.end({ ...reason, code: 'connection-lost' })
  }

  #giveUp(): void {
    this.#answer?.stop()
    this.#trying?.start(DEAF)
    this.#trying?.close({ code: 'connection-lost', message: 'it took too long' })
    this.#trying = undefined
  }

  /** The machine is on the net again, or somebody looks at the page: that is worth a try at once. */
  readonly #nudged = () => {
    if (page.document?.visibilityState === 'hidden') return
    this.#tries = 0
    clock.clearTimeout(this.#timer)
    this.#giveUp()
    this.#try(this.#link!)
  }

  readonly #aborted = () => {
    const reason: Reason = {
      code: 'connection-lost',
      message: 'the search for another connection was aborted'
    }
    this.#link!.end({ ...reason, cause: this.#signal!.reason })
  }
}

/** What a page tells of itself; nothing of it is there in Node. */
interface Page extends Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> {
  readonly document?: EventTarget & { readonly visibilityState: string }
}
const page = globalThis as unknown as Page
