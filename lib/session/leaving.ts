// How a client leaves the session of a server that goes away, so that no call is lost.
//
// The server announces it by `leaving`. The client moves its calls elsewhere if it can. Once it has no call under way, or after
// a while, it answers that it begins no further call. What it sent before the answer still runs, so the server can end the
// session when no call is under way in either direction: `server/departure.ts`.

import type { Reason } from '../errors.js'
import { clock, type Timer, unref } from '../util/clock.js'

/** Why a session of a server that goes away ends. */
export const SERVER_CLOSING: Reason = { code: 'server-closed', message: 'the server is going away' }

/** Interval between checks for calls under way, in ms. */
export const CALLS_CHECK_MS = 20
/** Longest time in which a client begins further calls after the announcement, in ms. */
export const MAX_STAY_MS = 1000

/** Calls `leave` once `isQuiet` returns true, or after a while. @param ms the time in which the session ends */
export function startLeaving(ms: number, isQuiet: () => boolean, leave: () => void): Timer {
  const end = clock.now() + Math.min(ms / 2, MAX_STAY_MS)
  const timer = clock.setInterval(() => {
    if (!isQuiet() && clock.now() < end) return
    clock.clearInterval(timer)
    leave()
  }, CALLS_CHECK_MS)
  unref(timer)
  return timer
}
