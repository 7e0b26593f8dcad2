// The session and the call for which a handler runs. They are known in the synchronous start of a handler, and in the
// whole call if the platform has asynchronous contexts.

import type { Session } from '../types/session.js'
import { ContextVariable } from '../util/async-context.js'
import { duplicateCopiesNote } from '../util/library-copies.js'
import type { Signal } from '../util/web-types.js'

/** The session as access control and hooks use it. */
export interface ReportingSession extends Session {
  /** Reports an error that no caller receives. */
  report(error: unknown, currentCallId?: string): void
}

/** The executor of calls. */
export interface CallScope {
  readonly session: ReportingSession
  /** Does not keep the scope alive: a resource of a call, such as a pooled socket, may outlive the session. */
  readonly weakRef: WeakRef<CallScope>
  signalOf(call: number): Signal
  /** Whether a call has ended. The scope does not know a call that is being started. */
  isSettled(call: number): boolean
}

interface CallHandle {
  readonly scope: WeakRef<CallScope>
  readonly id: number
}

/** The call id while items are produced. That is not a call, and it may continue until the session ends. */
export const NO_CALL_ID = 0

/** The scope and the id of the call that is being started. */
let currentScope: CallScope | undefined
let currentCallId = 0
/** The running calls. They are followed after the first `callSession()` or `callSignal()`. */
const followedCalls = new ContextVariable<CallHandle>()

/**
 * Returns the session whose peer made the running call, for services that several sessions share. With
 * `AsyncLocalStorage`, it works in the whole call and in what the call starts. On other platforms, it works before the
 * first `await`. netref follows calls after the first use. The first use in a process must be before the first `await`
 * of its call.
 *
 * @throws Error outside a call
 * @example
 * class Room {
 *   readonly #members = new Map<Session, Netref<(line: string) => void>>()
 *   exposed_join(say: Netref<(line: string) => void>) {
 *     const session = callSession()
 *     this.#members.set(session, say)
 *     session.on('closed', () => this.#members.delete(session))
 *   }
 * }
 */
export function callSession(): Session {
  return requireRunningCall('callSession')[0].session
}

/**
 * Returns the signal of the running call. It aborts with the caller's reason when the caller stops waiting
 * (`Netref.with(fn, { signal, timeout })`). It aborts with a `SessionEndedError` when the session ends. The function may
 * be called where `callSession()` may, until the call has ended. While items of an iterator or a stream are produced,
 * only the end of the session aborts the signal. A consumer that stops early returns the iterator.
 *
 * @throws Error outside a call
 * @example
 * class Search extends Service {
 *   async exposed_search(text: string) {
 *     const signal = callSignal()
 *     return (await fetch(`https://example.com/?q=${encodeURIComponent(text)}`, { signal })).json()
 *   }
 * }
 */
export function callSignal(): Signal {
  const [scope, id] = requireRunningCall('callSignal')
  if (id !== NO_CALL_ID && isCallSettled(scope, id))
    throw new Error('callSignal(): the call has ended; get the signal before that')
  return scope.signalOf(id)
}

const startingCall = (): CallHandle | undefined =>
  currentScope && { scope: currentScope.weakRef, id: currentCallId }

function requireRunningCall(functionName: string): [scope: CallScope, id: number] {
  const current = followedCalls.get(startingCall())
  const scope = current?.scope.deref()
  if (scope) return [scope, current!.id]
  throw new Error(
    `${functionName}(): no call of a peer is running here${duplicateCopiesNote()}; call it before the first \`await\` of a handler`
  )
}

/** The session whose peer made the call that is being started, and the signal of that call, for netref's own use. */
export const startingSession = (): ReportingSession => currentScope!.session
export const startingSignal = (): Signal => currentScope!.signalOf(currentCallId)

/** Whether a scope starts a call now. */
export const isStartingCall = (scope: CallScope): boolean => scope === currentScope

/** The running call, if it is known. */
export interface RunningCall {
  readonly session: Session
  isSettled(): boolean
}

/** The running call, for netref's own use. It does not make netref follow calls. */
export function runningCall(): RunningCall | undefined {
  const current = followedCalls.isEnabled ? followedCalls.get(undefined) : startingCall()
  const scope = current?.id === NO_CALL_ID ? undefined : current?.scope.deref()
  return scope && { session: scope.session, isSettled: () => isCallSettled(scope, current!.id) }
}

/** Whether a call has ended. A call that is being started has not, but its scope does not know it yet. */
const isCallSettled = (scope: CallScope, id: number) =>
  scope.isSettled(id) && !(scope === currentScope && id === currentCallId)

/** Runs the synchronous start of a handler. */
export function runInCall<T>(scope: CallScope, id: number, run: () => T): T {
  const [outerScope, outerCallId] = [currentScope, currentCallId]
  currentScope = scope
  currentCallId = id
  try {
    return followedCalls.isEnabled ? followedCalls.run({ scope: scope.weakRef, id }, run) : run()
  } finally {
    currentScope = outerScope
    currentCallId = outerCallId
  }
}
