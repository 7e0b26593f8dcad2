// Schedules functions: in a microtask, after all microtasks, or in a later turn of the event loop.
import { clock, nextTick, setImmediate } from './clock.js'

const resolvedPromise = Promise.resolve()

export const runInMicrotask = (run: () => void): void => void resolvedPromise.then(run)

/** Whether `nextTick` is known to work: a test may have replaced it before this module loaded. */
let nextTickRuns = false
nextTick?.(() => {
  nextTickRuns = true
})
/* c8 ignore next: the second is for browsers. */
const runFallback: (run: () => void) => void = setImmediate ?? runInMicrotask

/** Runs a function after all microtasks that are queued, and those they queue. */
export const runAfterMicrotasks = (run: () => void): void =>
  void (nextTickRuns ? nextTick! : runFallback)(run)

/* c8 ignore start: for browsers. Their timers wait for 4 ms, and in background pages for a second or a minute. */
function viaMessageChannel(run: () => void): void {
  if (typeof MessageChannel !== 'function') return void clock.setTimeout(run)
  const { port1, port2 } = new MessageChannel()
  port1.addEventListener('message', () => {
    port1.close()
    run()
  })
  port1.start()
  port2.postMessage(undefined)
}
/* c8 ignore stop */

/** Node reads sockets just before immediates run: the second immediate runs after a read. */
const viaImmediates = (run: () => void): void => void setImmediate(() => setImmediate(run))

/** Runs a function after all other pending events had a turn of the event loop. */
/* c8 ignore next: the second is for browsers. */
export const yieldToEventLoop = typeof setImmediate === 'function' ? viaImmediates : viaMessageChannel
