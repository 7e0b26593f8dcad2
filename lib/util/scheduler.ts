// When something is run: in a microtask, when those are done, or when whatever else waits has had its turn.
import { clock, nextTick, setImmediate } from './clock.js'

const resolvedPromise = Promise.resolve()

export const runInMicrotask = (run: () => void): void => void resolvedPromise.then(run)

/** Whether `nextTick` is known to run what it is given: a test may have replaced it before this was loaded. */
let nextTickRuns = false
nextTick?.(() => {
  nextTickRuns = true
})
/* c8 ignore next: the second is for browsers. */
const runFallback: (run: () => void) => void = setImmediate ?? runInMicrotask

/** Runs when all promises have come to what they can come to now. */
export const runAfterMicrotasks = (run: () => void): void =>
  void (nextTickRuns ? nextTick! : runFallback)(run)

/* c8 ignore start: for browsers, whose timers wait for 4 ms, and in the background for a second or a minute. */
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

/** What a socket brings comes just before an immediate: the second one comes after it. */
const viaImmediates = (run: () => void): void => void setImmediate(() => setImmediate(run))

/** Runs when whatever else waits has had a turn of the event loop. */
/* c8 ignore next: the second is for browsers. */
export const yieldToEventLoop = typeof setImmediate === 'function' ? viaImmediates : viaMessageChannel
