// Who calls: known in the synchronous start of a handler, and where the platform has contexts, in the whole of the call.

import type { Session } from '../types/session.js'
import { Followed } from '../util/contexts.js'
import { otherCopies } from '../util/copies.js'
import type { Signal } from '../util/web-types.js'
import { decided } from './decision.js'
import type { Rule } from './expose.js'

/** A session as access rules see it. */
export interface ReportingSession extends Session {
  /** Reports an error that no caller receives. */
  report(error: unknown, call?: string): void
}

/** Who carries out calls. */
interface Carrier {
  readonly session: ReportingSession
  /** Does not keep it alive: what a call started, a socket of a pool say, may outlive the session. */
  readonly weak: WeakRef<Carrier>
  signalOf(call: number): Signal
  /** Whether the call is over; one that is being started is not known to it yet. */
  isOver(call: number): boolean
}

interface Call {
  readonly by: WeakRef<Carrier>
  readonly id: number
}

/** In the place of a call's number where items are made: that is no call, and goes on until the session ends. */
export const NO_CALL = 0

/** Who starts a call at present, and which. */
let carrier: Carrier | undefined
let call = 0
/** Calls under way, once anybody has asked for one. */
const calls = new Followed<Call>()

/**
 * The session whose peer makes the call that runs here: for services shared by several sessions. Where the platform has
 * `AsyncLocalStorage` it holds for the whole call and for what that starts, elsewhere before the first `await`. Calls are
 * followed once anybody has asked: the first one of a process must ask before its first `await`.
 *
 * @throws Error outside a call
 * @example
 * exposed_join(name: Netref<string>, say: Netref<(line: string) => void>) {
 *   const session = callSession()
 *   session.on('closed', () => this.leave(session))
 * }
 */
export function callSession(): Session {
  return present('callSession')[0].session
}

/**
 * A signal for the call that runs here: it aborts, with the caller's reason, when the caller waits no longer
 * (`Netref.with(fn, { signal, timeout })`), and with a `SessionEndedError` when the session ends. It may be asked for where
 * `callSession()` may, as long as the call is not over. Where items of an iterator or a stream are made, only the end of
 * the session aborts it: who leaves returns the iterator.
 *
 * @throws Error outside a call
 * @example
 * async exposed_search(text: string) {
 *   const signal = callSignal()
 *   return (await fetch(address(text), { signal })).json()
 * }
 */
export function callSignal(): Signal {
  const [by, id] = present('callSignal')
  if (id !== NO_CALL && isOver(by, id)) throw new Error('callSignal(): the call is over')
  return by.signalOf(id)
}

const starting = (): Call | undefined => carrier && { by: carrier.weak, id: call }

function present(asked: string): [by: Carrier, id: number] {
  const current = calls.get(starting())
  const by = current?.by.deref()
  if (by) return [by, current!.id]
  throw new Error(
    `${asked}(): no call of a peer runs here${otherCopies()}; ask before the first \`await\` of a handler`
  )
}

/** The session whose peer makes the call that is being started, and a signal for that call: asked by netref itself. */
export const startingSession = (): ReportingSession => carrier!.session
export const startingSignal = (): Signal => carrier!.signalOf(call)

/** The call that runs here, where that is known. */
export interface RunningCall {
  readonly session: Session
  isOver(): boolean
}

/** Asked by netref itself: nothing is followed for that. */
export function runningCall(): RunningCall | undefined {
  const current = calls.wanted ? calls.get(undefined) : starting()
  const by = current?.id === NO_CALL ? undefined : current?.by.deref()
  return by && { session: by.session, isOver: () => isOver(by, current!.id) }
}

/** One that is being started is not over, and not known to whoever carries it out. */
const isOver = (by: Carrier, id: number) => by.isOver(id) && !(by === carrier && id === call)

/** Runs the start of a handler. */
export function startCall<T>(by: Carrier, id: number, run: () => T): T {
  const [outer, outerCall] = [carrier, call]
  carrier = by
  call = id
  try {
    return calls.wanted ? calls.run({ by: by.weak, id }, run) : run()
  } finally {
    carrier = outer
    call = outerCall
  }
}

/** Whether the peer whose call is being started may use what is under this rule. */
export function permits(rule: Rule): boolean {
  if (!rule.if) return true
  const session = startingSession()
  try {
    return Boolean(decided('@exposed({ if })', rule.if(session)))
  } catch (error) {
    session.report(error)
    return false
  }
}
