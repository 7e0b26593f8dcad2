// Who calls: known in the synchronous start of a handler.
import type { Session } from './session.js'

let current: Session | undefined

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
  if (current) return current
  throw new Error('callSession(): no call is being started; ask before the first `await` of a handler')
}

/** Runs the start of a handler for a session. */
export function startCall<T>(session: Session, run: () => T): T {
  const outer = current
  current = session
  try {
    return run()
  } finally {
    current = outer
  }
}
