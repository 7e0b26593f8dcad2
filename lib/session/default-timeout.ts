// The default timeout of calls: one timer for all, because they expire in the order in which they were made.

import type { PendingResult } from '../remote/pending-result.js'
import { clock, ref, type Timer, unref } from '../util/clock.js'
import { yieldToEventLoop } from '../util/scheduler.js'
import type { PendingCalls } from './pending-calls.js'

export class DefaultTimeout {
  #timer: Timer | undefined

  constructor(
    readonly ms: number,
    private readonly calls: PendingCalls,
    private readonly onExpired: (call: PendingResult) => void
  ) {}

  /** A call was made with this timeout. */
  start(deadline: number): void {
    if (this.#timer) return ref(this.#timer)
    // Replies that have arrived are read before a call expires: this process may have been busy.
    const onTimer = () => yieldToEventLoop(() => this.#expire())
    this.#timer = clock.setTimeout(onTimer, Math.max(0, deadline - clock.now()))
  }

  /** No call is pending: the timer does not keep the process alive. */
  onIdle(): void {
    if (this.#timer) unref(this.#timer)
  }

  #expire(): void {
    this.#timer = undefined
    const now = clock.now()
    const expired: PendingResult[] = []
    let next = Number.POSITIVE_INFINITY
    for (const call of this.calls.replied) {
      const { cancellable } = call
      if (!cancellable?.hasDefaultTimeout) continue
      if (cancellable.deadline > now) next = Math.min(next, cancellable.deadline)
      else expired.push(call)
    }
    for (const call of this.calls.results) {
      const { cancellable } = call
      if (!cancellable?.hasDefaultTimeout) continue
      if (cancellable.deadline > now) {
        next = Math.min(next, cancellable.deadline)
        break
      }
      expired.push(call)
    }
    if (next < Number.POSITIVE_INFINITY) this.start(next)
    // Calls on the result of an expired call may have expired with it.
    for (const call of expired) if (call.sentRequest) this.onExpired(call)
  }

  end(): void {
    clock.clearTimeout(this.#timer)
  }
}
