// `diagnostics_channel`: what goes on, told to whoever subscribes in Node. Nothing is made for nobody. A page has
// `diagnostics-browser.ts` in its place.

import type { Reason } from '../errors.js'
import { nameOf, type OperationCode, type OperationName, operandsOf } from '../protocol/messages.js'
import type { Session } from '../types/session.js'
import { clock } from '../util/clock.js'

/** A call that is made (`out`) or carried out (`in`). */
export interface CallEvent {
  readonly session: Session
  readonly direction: 'out' | 'in'
  /** The number of the call, in its session and direction; of one that is not answered 0, or for its home below 0. */
  readonly id: number
  readonly operation: OperationName
  /** What it is made on, e.g. `root.add`. */
  readonly path: string
  /** The arguments of a call or a construction, and the value to set; else empty. */
  readonly args: readonly unknown[]
}

/** What came of it: `value` where it is `ok`, else `error`. */
export interface ReplyEvent extends CallEvent {
  readonly ok: boolean
  readonly value?: unknown
  readonly error?: unknown
  /** How long it took, in ms: out the round trip, in the work. */
  readonly ms: number
}

/**
 * What each channel of `node:diagnostics_channel` tells.
 *
 * @example
 * import { subscribe } from 'node:diagnostics_channel'
 * subscribe('netref:reply', event => {
 *   const { direction, path, ms } = event as Diagnostics['netref:reply']
 *   console.log(direction, path, ms)
 * })
 */
export interface Diagnostics {
  /** A call leaves, or begins to be carried out. */
  'netref:call': CallEvent
  /** A call is answered. One that was made when nobody had subscribed is not told of. */
  'netref:reply': ReplyEvent
  /** A session has begun: both sides have said hello. */
  'netref:session': { readonly session: Session }
  /** A session has lost its socket, and waits for another one. */
  'netref:interrupted': { readonly session: Session; readonly reason: Reason }
  /** It goes on, over another socket. */
  'netref:resumed': { readonly session: Session }
  /** A session that had begun has ended. */
  'netref:closed': { readonly session: Session; readonly reason: Reason }
}

/** As little of a channel as is there where there is none. */
interface DiagnosticsChannel {
  readonly hasSubscribers: boolean
  publish(event: object): void
}

/* c8 ignore next 3: Node tells of its modules so from 20.16 on. */
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

/** Tells of the calls of a session in one direction. */
export class CallObserver {
  #pendingCalls: Map<number, { event: CallEvent; startedAt: number }> | undefined

  constructor(
    private readonly session: Session,
    private readonly direction: CallEvent['direction']
  ) {}

  /** Whether anybody wants to know. Ask before what is told is put together. */
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

  /** `outcome` is the value where it is `ok`, else the error. */
  onReply(id: number, ok: boolean, outcome: unknown): void {
    const call = this.#pendingCalls?.get(id)
    if (!call) return
    this.#pendingCalls!.delete(id)
    const ms = clock.now() - call.startedAt
    replyChannel.publish({ ...call.event, ok, ...(ok ? { value: outcome } : { error: outcome }), ms })
  }

  /** Nothing more is answered. */
  end(): void {
    this.#pendingCalls = undefined
  }
}
