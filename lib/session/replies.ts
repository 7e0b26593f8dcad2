// Settles the peer's calls: sends their replies, and reports one-way calls that fail.

import type { ReportingSession } from '../access/call-context.js'
import { rejectionKind } from '../access/hook-result.js'
import type { OperationResult } from '../access/operations.js'
import { ignoreRejections, rollbackPayload } from '../codec/dispose.js'
import { encodeValue } from '../codec/encode.js'
import { MIN_TRACKED_BYTES } from '../codec/memory-estimate.js'
import type { Payload } from '../codec/types.js'
import { ERROR, RESULT } from '../codec/value-role.js'
import {
  CallRejection,
  FailedAnswer,
  materializeStacks,
  rejectionError,
  toCallRejection,
  UNSENDABLE_ERROR
} from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatRejection, formatReply, Op } from '../protocol/messages.js'
import type { References } from '../remote/references.js'
import { type Answer, isPrimitive } from './answers.js'
import type { CallErrors, CallName } from './call-errors.js'
import type { CallObserver } from './diagnostics.js'
import type { IncomingCalls } from './incoming-calls.js'
import type { Settings } from './options.js'

export class Replies {
  #ended = false

  constructor(
    private readonly session: ReportingSession,
    private readonly references: References,
    private readonly channel: OutboundChannel,
    private readonly calls: IncomingCalls,
    private readonly observer: CallObserver,
    private readonly errors: CallErrors,
    /** Receives the failures and rejections of one-way calls. */
    private readonly reporting: Pick<Settings, 'onError' | 'rejections'>,
    /** Called after an answer is in the table. */
    private readonly onAnswered: () => void
  ) {}

  /** Settles a call with a value. `name` names the call if the value cannot be sent. Never throws. */
  succeed(id: number, result: OperationResult, name?: CallName): void {
    if (this.#ended) return this.references.dispose(result.value)
    const received = this.calls.finish(id)
    if (id < 0) this.#finishOneWay(id, result.value)
    else this.#sendResult(id, result, name)
    received?.endCall(id > 0)
  }

  /** Settles a call with an error. If `isKept`, calls on its answer fail with the same error. Never throws. */
  fail(id: number, error: unknown, isKept = true): void {
    if (this.#ended) return this.references.dispose(error)
    if (isKept && this.calls.bytesOf(id) > MIN_TRACKED_BYTES) materializeStacks(error)
    const received = this.calls.finish(id)
    if (id < 0) this.#failOneWay(id, error)
    else this.#sendError(id, error, isKept)
    received?.endCall(id > 0)
  }

  #finishOneWay(id: number, value: unknown): void {
    this.references.dispose(value)
    this.observer.onReply(id, true, value)
    this.calls.removeOneWay(id)
  }

  #failOneWay(id: number, error: unknown): void {
    ignoreRejections(error)
    this.#report(error, this.calls.oneWayLabel(id))
    this.observer.onReply(id, false, error)
    this.calls.removeOneWay(id)
  }

  #report(error: unknown, call: string): void {
    const { onError, rejections } = this.reporting
    const context = { session: this.session, call }
    const reported = error instanceof CallRejection ? rejectionError(error.code, call, error.message) : error
    const kind = rejectionKind(error)
    if (kind !== undefined) rejections.add(kind, reported, context)
    else if (!this.errors.hasHook) onError(reported, context)
  }

  #sendResult(id: number, { value, self }: OperationResult, name?: CallName): void {
    let frame: number
    let payload: Payload | undefined
    try {
      payload = value === undefined ? undefined : encodeValue(value, RESULT, this.references, self)
      frame = this.#send(formatReply(Op.result, id, payload?.json), payload)
    } catch (error) {
      const cause = error instanceof FailedAnswer ? error.error : error
      const replaced = this.errors.replace(cause, name)
      return this.fail(id, replaced === error ? (toCallRejection(error) ?? error) : replaced)
    }
    if (payload) this.errors.nameStreams(payload.references, name)
    this.observer.onReply(id, true, value)
    const answer: Answer = isPrimitive(value) ? { ok: true, value } : { ok: true, value, self, payload }
    this.#settle(id, answer, frame, payload?.json)
  }

  #sendError(id: number, error: unknown, isKept: boolean): void {
    let frame: number
    let payload: Payload | undefined
    if (error instanceof CallRejection)
      frame = this.channel.sendRequiredReply(formatRejection(id, error.code, error.message), [])
    else {
      try {
        payload = encodeValue(error, ERROR, this.references)
        frame = this.#send(formatReply(Op.error, id, payload.json), payload)
      } catch (failure) {
        return this.fail(id, toCallRejection(failure) ?? UNSENDABLE_ERROR, isKept)
      }
    }
    this.observer.onReply(id, false, error)
    if (isKept) this.#settle(id, { ok: false, error }, frame, payload?.json)
  }

  #send(message: string, payload?: Payload): number {
    try {
      return this.channel.sendReply(message, payload?.bytes ?? [])
    } catch (error) {
      // A message without a payload always fits.
      rollbackPayload(payload!, this.references)
      throw error
    }
  }

  #settle(id: number, answer: Answer, frame: number, json?: string): void {
    this.calls.answers.settle(id, answer, frame, json)
    this.onAnswered()
  }

  end(): void {
    this.#ended = true
  }
}
