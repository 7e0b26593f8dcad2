// Counts the peer's operations that fail here, and passes their errors to `onCallError`, which may replace them.

import type { ReportingSession } from '../access/call-context.js'
import type { SynchronousResult } from '../access/hook-result.js'
import { checkHookResult } from '../access/hook-result.js'
import { ANSWER_TAG, type EncodedReference } from '../codec/types.js'
import { formatPath, formatTarget } from '../protocol/format.js'
import { Op, operationOf } from '../protocol/messages.js'
import type { References } from '../remote/references.js'
import type { Session } from '../types/session.js'
import { className, functionName, truncateName } from '../util/describe.js'
import { isInstanceOf } from '../util/realms.js'
import type { CallRequest } from './call-request.js'

/** The operation that failed. */
export interface CallErrorContext {
  /** The session of the peer that asked for the operation. */
  readonly session: Session
  /** Name of the operation and path of the member, e.g. `root.buy()`. It never contains arguments. */
  readonly call: string
}

/** The hook that is told of failed handlers. An Error that it returns is sent to the peer instead. */
export type OnCallError = (error: unknown, context: CallErrorContext) => SynchronousResult

/** What names an operation. */
export type CallName = Pick<CallRequest, 'op' | 'target' | 'targetId' | 'path'>

export class CallErrors {
  /** Failures so far. */
  count = 0

  constructor(
    private readonly session: ReportingSession,
    private readonly references: References,
    private readonly onCallError: OnCallError | undefined
  ) {}

  get hasHook(): boolean {
    return this.onCallError !== undefined
  }

  /** The name of a call that settles later, if there is a hook. It does not hold the arguments. */
  nameForLater({ op, target, targetId, path }: CallRequest): CallName | undefined {
    return this.onCallError && { op, target, targetId, path }
  }

  /**
   * The code of this side has failed: a call, or a stream, named by the number of its export.
   *
   * @returns the error for the peer
   */
  replace(error: unknown, failed: CallName | number | undefined): unknown {
    this.count++
    if (!this.onCallError || failed === undefined) return error
    const call = typeof failed === 'number' ? this.#exportLabel(failed) : this.#callLabel(failed)
    try {
      const result = checkHookResult(
        '`onCallError`',
        this.onCallError(error, { session: this.session, call }),
        call
      )
      return isInstanceOf('Error', result) ? result : error
    } catch (failure) {
      this.session.report(failure, call)
      return new Error('the call failed')
    }
  }

  /** Records which call returned the streams among these references: their later errors name it. */
  nameStreams(references: readonly EncodedReference[], name: CallName | undefined): void {
    if (!this.onCallError || references.length === 0 || !name) return
    for (const [tag, data] of references)
      if (tag !== 'h' && tag !== ANSWER_TAG)
        this.references.streams?.setOrigin((data as [number])[0], this.#callLabel(name))
  }

  /** The operation as its caller writes it, without arguments. */
  #callLabel({ op, target, targetId, path }: CallName): string {
    const start =
      target === 'export' ? this.#exportLabel(targetId) : formatTarget(target === 'root' ? 0 : -targetId)
    const { label, operand } = operationOf(op === Op.oneway ? Op.call : op)
    return label(start + formatPath(path), operand === 'value' ? '…' : '')
  }

  /** The call that returned a stream, or the class and the number of an object: `Mailbox#5`. */
  #exportLabel(id: number): string {
    const { streams, exports } = this.references
    const origin = streams?.originOf(id)
    if (origin !== undefined) return origin
    const object = exports.get(id)?.object ?? {}
    return `${truncateName(typeof object === 'function' ? functionName(object) : className(object))}#${id}`
  }
}
