// Who calls: known in the synchronous start of a handler.
import { otherCopies } from './copies.js'
import type { Signal } from './flow-types.js'
import type { Session } from './session.js'

/** Who carries out calls. */
interface Carrier {
  readonly session: Session
  signalOf(call: number): Signal
}

/** Who starts a call at present, and which. */
let carrier: Carrier | undefined
let call = 0

/**
 * The session whose peer makes the call that is being started: for services shared by several sessions. Ask before
 * the first `await`; what runs later runs for nobody in particular.
 *
 * @throws Error outside the start of a call
 * @example
 * exposed_join(name: Netref<string>, say: Netref<(line: string) => void>) {
 *   const session = callSession()
 *   session.on('closed', () => this.leave(session))
 * }
 */
export function callSession(): Session {
  if (carrier) return carrier.session
  throw outsideOfCall('callSession')
}

/**
 * A signal for the call that is being started: it aborts, with the caller's reason, when the caller waits no longer
 * (`Netref.with(fn, { signal, timeout })`), and with a `SessionEndedError` when the session ends. Ask before the first
 * `await`.
 *
 * @throws Error outside the start of a call
 * @example
 * async exposed_search(text: string) {
 *   const signal = callSignal()
 *   return (await fetch(address(text), { signal })).json()
 * }
 */
export function callSignal(): Signal {
  if (carrier) return carrier.signalOf(call)
  throw outsideOfCall('callSignal')
}

const outsideOfCall = (asked: string) =>
  new Error(
    `${asked}(): no call is being started${otherCopies()}; ask before the first \`await\` of a handler`
  )

/** Runs the start of a handler. */
export function startCall<T>(by: Carrier, id: number, run: () => T): T {
  const [outer, outerCall] = [carrier, call]
  carrier = by
  call = id
  try {
    return run()
  } finally {
    carrier = outer
    call = outerCall
  }
}
