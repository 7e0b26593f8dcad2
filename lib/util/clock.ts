// The timers and clocks of the platform, as they are when this is loaded: what a test puts in their place later stands
// still, and nothing that crosses may wait for it. A page has `clock-browser.ts` in its place.
import { performance } from 'node:perf_hooks'
import timers from 'node:timers'

const { setTimeout, clearTimeout, setInterval, clearInterval } = timers

export const clock = {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  /** In ms, from some time on; it goes on steadily, but for the time that the machine sleeps. */
  now: performance.now.bind(performance),
  /** The time of day, in ms, which may be set. */
  wallNow: Date.now
}
export const { setImmediate } = timers
export const nextTick = globalThis.process?.nextTick

export type Timer = ReturnType<typeof setTimeout>

/** The timer does not keep the process alive. In Electron's pages timers are numbers, and cannot. */
export const unref = (timer: Timer): void => void timer.unref?.()
