// Cancels calls of this side, by their signal or timeout: withdraws those that are not sent, and tells the peer of others.

import { rollbackPayload } from '../codec/dispose.js'
import { encodeValue } from '../codec/encode.js'
import { ANSWER_TAG, type EncodedReference, type Payload } from '../codec/types.js'
import { REASON } from '../codec/value-role.js'
import { markMayHaveRun } from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatCancel, formatPing, Op } from '../protocol/messages.js'
import { type CallOptions, timeoutError, watchCancellation } from '../remote/call-options.js'
import { PendingResult } from '../remote/pending-result.js'
import type { RequestBase } from '../remote/proxy.js'
import type { References } from '../remote/references.js'
import { clock } from '../util/clock.js'
import { DefaultTimeout } from './default-timeout.js'
import type { CallObserver } from './diagnostics.js'
import type { PendingCalls } from './pending-calls.js'

export class CallCancellation {
  #isEnded = false
  readonly #defaultTimeout: DefaultTimeout | undefined

  constructor(
    private readonly calls: PendingCalls,
    private readonly references: References,
    private readonly channel: OutboundChannel,
    private readonly observer: CallObserver,
    timeoutMs: number
  ) {
    const onExpired = (call: PendingResult) =>
      this.#cancel(call, timeoutError(call.label, timeoutMs, references))
    if (timeoutMs < Number.POSITIVE_INFINITY)
      this.#defaultTimeout = new DefaultTimeout(timeoutMs, calls, onExpired)
  }

  /** The reply of a call has come. */
  onReply(): void {
    if (this.calls.size === 0) this.#defaultTimeout?.onIdle()
  }

  /** Whether calls without options must be watched, too. */
  get hasDefaultTimeout(): boolean {
    return this.#defaultTimeout !== undefined
  }

  /** The calls that a call builds on, and that can be withdrawn: by its target and its arguments. */
  #withdrawable(base: RequestBase, references: readonly EncodedReference[]): Set<PendingResult> {
    const builtOn = references.map(([tag, id]) =>
      tag === ANSWER_TAG ? this.calls.find(id as number) : undefined
    )
    if (base instanceof PendingResult) builtOn.push(base)
    const isWithdrawable = (one: PendingResult | undefined): one is PendingResult =>
      one?.cancellable !== undefined && !this.channel.isFrameSent(one.frameNumber)
    return new Set(builtOn.filter(isWithdrawable))
  }

  /** Whether a call builds on one that can be withdrawn. It is then withdrawn, too. */
  mayBeWithdrawn(base: RequestBase, references: readonly EncodedReference[] = []): boolean {
    return (
      (references.length > 0 || base instanceof PendingResult) &&
      this.#withdrawable(base, references).size > 0
    )
  }

  /** Cancels a call when its signal aborts, or at its deadline. */
  watch(
    result: PendingResult,
    options: CallOptions,
    messageIndex: number,
    references: readonly EncodedReference[] = [],
    earlierDeadline?: number
  ): void {
    const { base, op } = result.sentRequest!
    // A one-way call has no reply, and a step of an iterator or stream may wait for as long as its owner likes.
    const hasDefaultTimeout =
      this.hasDefaultTimeout && options.timeout === undefined && op !== Op.oneway && op !== Op.streamCall
    const timeout = hasDefaultTimeout ? this.#defaultTimeout!.ms : options.timeout
    const deadline = earlierDeadline ?? clock.now() + (timeout ?? Number.POSITIVE_INFINITY)
    const stopWatching = watchCancellation(
      options,
      () => result.label,
      reason => this.#cancel(result, reason),
      this.references,
      Math.max(0, deadline - clock.now())
    )
    result.cancellable = {
      options,
      stopWatching,
      messageIndex,
      deadline,
      hasDefaultTimeout,
      references,
      dependents: []
    }
    if (hasDefaultTimeout) this.#defaultTimeout!.start(deadline)
    for (const one of this.#withdrawable(base, references)) one.cancellable!.dependents.push(result)
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
    this.onReply()
  }

  /** Withdraws a call that is not sent, and the calls on its result. @returns all of these */
  #withdraw(result: PendingResult): PendingResult[] {
    const withdrawn = [result]
    for (const { id, frameNumber, cancellable } of withdrawn) {
      // The peer counts calls, so that a ping takes the number.
      this.channel.withdraw(frameNumber, cancellable!.messageIndex, id > 0 ? formatPing(id) : undefined)
      const dependents = cancellable!.dependents.filter(one => one.sentRequest && !withdrawn.includes(one))
      withdrawn.push(...dependents)
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
    this.#defaultTimeout?.end()
  }
}
