// Publishes events to the subscribers of Node's `diagnostics_channel`. Without subscribers, no event is created.
// Pages use `diagnostics.browser.ts` instead.

import type { Reason } from '../errors.js'
import { nameOf, type OperationCode, type OperationName, operandsOf } from '../protocol/messages.js'
import type { Session } from '../types/session.js'
import { runIsolated } from '../util/async-context.js'
import { clock } from '../util/clock.js'

/** A call that this side makes (`out`) or runs (`in`). */
export interface CallEvent {
  /** The session of the call. */
  readonly session: Session
  /** Whether this side makes the call (`out`) or runs it (`in`). */
  readonly direction: 'out' | 'in'
  /** Number of the call, in its session and direction; of a one-way call, 0 if it is `out` and below 0 if it is `in`. */
  readonly id: number
  /** What the call does: `call`, `get`, `set`, … */
  readonly operation: OperationName
  /** Target of the call, e.g. `root.add`. */
  readonly path: string
  /** Arguments of a call or a construction, or the value to set; otherwise empty. */
  readonly args: readonly unknown[]
}

/** The outcome of a call: `value` if it is `ok`, otherwise `error`. */
export interface ReplyEvent extends CallEvent {
  /** Whether the call succeeded. */
  readonly ok: boolean
  /** The result of a call that succeeded. */
  readonly value?: unknown
  /** The error of a call that failed. */
  readonly error?: unknown
  /** Duration in ms: of the round trip if the call is `out`, of the work if it is `in`. */
  readonly ms: number
}

/**
 * The event type of each channel of `node:diagnostics_channel`.
 *
 * @example
 * import { subscribe } from 'node:diagnostics_channel'
 * subscribe('netref:reply', event => {
 *   const { direction, path, ms } = event as Diagnostics['netref:reply']
 *   console.log(direction, path, ms)
 * })
 */
export interface Diagnostics {
  /** A call is sent, or starts to run. */
  'netref:call': CallEvent
  /** A call is answered. There is no event for a call that was made while there were no subscribers. */
  'netref:reply': ReplyEvent
  /** A session has begun: both sides have sent their hello. */
  'netref:session': Pick<CallEvent, 'session'>
  /** A session has lost its transport, and waits for another one. */
  'netref:interrupted': Pick<CallEvent, 'session'> & {
    /** Why the transport was lost. */
    readonly reason: Reason
  }
  /** A session continues over another transport. */
  'netref:resumed': Pick<CallEvent, 'session'>
  /** A session that had begun has ended. */
  'netref:closed': Pick<CallEvent, 'session'> & {
    /** Why the session ended. */
    readonly reason: Reason
  }
}

/** The part of a channel that exists without `diagnostics_channel`, too. */
interface DiagnosticsChannel {
  readonly hasSubscribers: boolean
  publish(event: object): void
}

/* c8 ignore next 4: Node has `getBuiltinModule` from 20.16 on. */
const NO_SUBSCRIBERS: DiagnosticsChannel = { hasSubscribers: false, publish() {} }
const diagnosticsModule = globalThis.process?.getBuiltinModule?.('node:diagnostics_channel')
const channel = (name: keyof Diagnostics): DiagnosticsChannel =>
  diagnosticsModule?.channel(name) ?? NO_SUBSCRIBERS

export const callChannel = channel('netref:call')
export const replyChannel = channel('netref:reply')
export const sessionChannel = channel('netref:session')
export const interruptedChannel = channel('netref:interrupted')
export const resumedChannel = channel('netref:resumed')
export const closedChannel = channel('netref:closed')

/** Publishes the calls of a session in one direction. */
export class CallObserver {
  #pendingCalls: Map<number, { event: CallEvent; startedAt: number }> | undefined

  constructor(
    private readonly session: Session,
    private readonly direction: CallEvent['direction']
  ) {}

  /** Whether there are subscribers. Callers must check this before they assemble the data of an event. */
  get enabled(): boolean {
    return callChannel.hasSubscribers || replyChannel.hasSubscribers
  }

  onCall(id: number, op: OperationCode, path: string, operand: unknown): void {
    const { session, direction } = this
    const operation = nameOf(op)
    const args = operandsOf(op, operand)
    const event = { session, direction, id, operation, path, args }
    this.#pendingCalls ??= new Map()
    if (id !== 0) this.#pendingCalls.set(id, { event, startedAt: clock.now() })
    callChannel.publish(event)
  }

  /** `outcome` is the value if the call is `ok`, otherwise the error. */
  onReply(id: number, ok: boolean, outcome: unknown): void {
    const call = this.#pendingCalls?.get(id)
    if (!call) return
    this.#pendingCalls!.delete(id)
    const ms = clock.now() - call.startedAt
    // A subscriber is user code: what it makes current is not so for the next message of the frame.
    const event = { ...call.event, ok, ...(ok ? { value: outcome } : { error: outcome }), ms }
    runIsolated(() => replyChannel.publish(event))
  }

  /** Drops the pending calls: no reply follows. */
  end(): void {
    this.#pendingCalls = undefined
  }
}
