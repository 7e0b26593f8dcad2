// The timers and clocks of the platform, as they are when this module loads. Fake timers that a test installs later do not
// advance by themselves, and no message may wait for them. Pages use `clock.browser.ts` instead.
import { performance } from 'node:perf_hooks'
import timers from 'node:timers'

const { setTimeout, clearTimeout, setInterval, clearInterval } = timers

export const clock = {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  /** Monotonic time, in ms. It may stand still while the machine sleeps. */
  now: performance.now.bind(performance),
  /** Wall-clock time, in ms since 1970. It may be set at any time. */
  wallNow: Date.now
}
export const { setImmediate } = timers
export const nextTick = globalThis.process?.nextTick

export type Timer = ReturnType<typeof setTimeout>

/** Lets the process exit before the timer fires. In pages of Electron timers are numbers, and this does nothing. */
export const unref = (timer: Timer): void => void timer.unref?.()
/** Keeps the process alive until the timer fires, as by default. */
export const ref = (timer: Timer): void => void timer.ref?.()
