// Who calls: known in the synchronous start of a handler, and where the platform has contexts, in the whole of the call.

import type { Session } from '../types/session.js'
import { ContextVariable } from '../util/async-context.js'
import { duplicateCopiesNote } from '../util/library-copies.js'
import type { Signal } from '../util/web-types.js'
import { checkHookResult } from './decision.js'
import type { AccessRule } from './expose.js'

/** A session as access rules see it. */
export interface ReportingSession extends Session {
  /** Reports an error that no caller receives. */
  report(error: unknown, currentCallId?: string): void
}

/** Who carries out calls. */
export interface CallScope {
  readonly session: ReportingSession
  /** Does not keep it alive: what a call started, a socket of a pool say, may outlive the session. */
  readonly weakRef: WeakRef<CallScope>
  signalOf(call: number): Signal
  /** Whether the call is over; one that is being started is not known to it yet. */
  isSettled(call: number): boolean
}

interface CallHandle {
  readonly scope: WeakRef<CallScope>
  readonly id: number
}

/** In the place of a call's number where items are made: that is no call, and goes on until the session ends. */
export const NO_CALL_ID = 0

/** Who starts a call at present, and which. */
let currentScope: CallScope | undefined
let call = 0
/** Calls under way, once anybody has asked for one. */
const followedCalls = new ContextVariable<CallHandle>()

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
  return requireRunningCall('callSession')[0].session
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
  const [by, id] = requireRunningCall('callSignal')
  if (id !== NO_CALL_ID && isCallSettled(by, id)) throw new Error('callSignal(): the call is over')
  return by.signalOf(id)
}

const startingCall = (): CallHandle | undefined => currentScope && { scope: currentScope.weakRef, id: call }

function requireRunningCall(functionName: string): [by: CallScope, id: number] {
  const current = followedCalls.get(startingCall())
  const by = current?.scope.deref()
  if (by) return [by, current!.id]
  throw new Error(
    `${functionName}(): no call of a peer runs here${duplicateCopiesNote()}; ask before the first \`await\` of a handler`
  )
}

/** The session whose peer makes the call that is being started, and a signal for that call: asked by netref itself. */
export const startingSession = (): ReportingSession => currentScope!.session
export const startingSignal = (): Signal => currentScope!.signalOf(call)

/** The call that runs here, where that is known. */
export interface RunningCall {
  readonly session: Session
  isSettled(): boolean
}

/** Asked by netref itself: nothing is followed for that. */
export function runningCall(): RunningCall | undefined {
  const current = followedCalls.isEnabled ? followedCalls.get(undefined) : startingCall()
  const by = current?.id === NO_CALL_ID ? undefined : current?.scope.deref()
  return by && { session: by.session, isSettled: () => isCallSettled(by, current!.id) }
}

/** One that is being started is not over, and not known to whoever carries it out. */
const isCallSettled = (by: CallScope, id: number) => by.isSettled(id) && !(by === currentScope && id === call)

/** Runs the start of a handler. */
export function runInCall<T>(scope: CallScope, id: number, run: () => T): T {
  const [outerScope, outerCallId] = [currentScope, call]
  currentScope = scope
  call = id
  try {
    return followedCalls.isEnabled ? followedCalls.run({ scope: scope.weakRef, id }, run) : run()
  } finally {
    currentScope = outerScope
    call = outerCallId
  }
}

/** Whether the peer whose call is being started may use what is under this rule. */
export function isPermitted(rule: AccessRule): boolean {
  if (!rule.if) return true
  const session = startingSession()
  try {
    return Boolean(checkHookResult('@exposed({ if })', rule.if(session)))
  } catch (error) {
    session.report(error)
    return false
  }
}
