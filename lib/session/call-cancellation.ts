// Cancels calls of this side, by their signal or timeout: withdraws those that are not sent, and tells the peer of others.

import { rollbackPayload } from '../codec/dispose.js'
import { encodeValue } from '../codec/encode.js'
import type { EncodedReference, Payload } from '../codec/types.js'
import { REASON } from '../codec/value-role.js'
import { markMayHaveRun } from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatCancel, formatPing } from '../protocol/messages.js'
import { type CallOptions, watchCancellation } from '../remote/call-options.js'
import { PendingResult } from '../remote/pending-result.js'
import type { References } from '../remote/references.js'
import { clock } from '../util/clock.js'
import type { CallObserver } from './diagnostics.js'
import type { PendingCalls } from './pending-calls.js'

export class CallCancellation {
  #isEnded = false

  constructor(
    private readonly calls: PendingCalls,
    private readonly references: References,
    private readonly channel: OutboundChannel,
    private readonly observer: CallObserver
  ) {}

  /** Cancels a call when its signal aborts, or at its deadline. */
  watch(
    result: PendingResult,
    options: CallOptions,
    messageIndex: number,
    references: readonly EncodedReference[] = [],
    deadline = clock.now() + (options.timeout ?? Number.POSITIVE_INFINITY)
  ): void {
    const stopWatching = watchCancellation(
      options,
      () => result.label,
      reason => this.#cancel(result, reason),
      this.references,
      Math.max(0, deadline - clock.now())
    )
    result.cancellable = { options, stopWatching, messageIndex, deadline, references, dependents: [] }
    const { base } = result.sentRequest!
    if (base instanceof PendingResult && !this.channel.isFrameSent(base.frameNumber))
      base.cancellable?.dependents.push(result)
    // An accessor of user code may have aborted it meanwhile.
    if (options.signal?.aborted) this.#cancel(result, options.signal.reason)
  }

  #cancel(result: PendingResult, reason: unknown): void {
    const isSent = this.channel.isFrameSent(result.frameNumber)
    markMayHaveRun(reason, isSent || result.payload?.mayHaveRun === true)
    const isTimeout = reason instanceof DOMException && reason.name === 'TimeoutError'
    const cancelled = (isSent ? [result] : this.#withdraw(result)).map(
      one => [one, one.cancellable!] as const
    )
    for (const [one, { stopWatching }] of cancelled) {
      stopWatching()
      if (one.id > 0) this.calls.cancel(one.id)
      one.reject(reason, isTimeout)
    }
    // Subscribers, and the release of references, may end the session.
    for (const [{ id }, { references }] of cancelled) {
      this.observer.onReply(id, false, reason)
      const loans = this.calls.takeLoans(id)
      if (!isSent) rollbackPayload({ references, callerOwned: true }, this.references)
      else if (loans) this.references.endLoans(loans)
    }
    if (isSent && result.id > 0) this.#sendCancel(result.id, reason)
  }

  /** Withdraws a call that is not sent, and the calls on its result. @returns all of these */
  #withdraw(result: PendingResult): PendingResult[] {
    const withdrawn = [result]
    for (const { id, frameNumber, cancellable } of withdrawn) {
      // The peer counts calls, so that a ping takes the number.
      this.channel.withdraw(frameNumber, cancellable!.messageIndex, id > 0 ? formatPing(id) : undefined)
      withdrawn.push(...cancellable!.dependents.filter(({ sentRequest }) => sentRequest))
    }
    return withdrawn
  }

  #sendCancel(id: number, reason: unknown): void {
    let payload: Payload | undefined
    try {
      payload = encodeValue(reason, REASON, this.references)
      // An accessor of the reason may have ended the session.
      if (!this.#isEnded) this.channel.send(formatCancel(id, payload.json), payload.bytes)
    } catch {
      // The reason cannot be serialized.
      if (payload) rollbackPayload(payload, this.references)
      if (!this.#isEnded) this.channel.send(formatCancel(id), [])
    }
  }

  end(): void {
    this.#isEnded = true
  }
}
