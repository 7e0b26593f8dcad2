// Controls time in specs. netref reads its timers when it is loaded, so a test's fake timers do not reach them; this
// replaces them.
import { mock } from 'node:test'
import type { Test } from 'tap'
import { clock } from '../../lib/util/clock.js'

/** Replaces these timers of netref until the test ends; only `mock.timers.tick` advances them. */
export function useFakeClock(t: Test, apis: ('setTimeout' | 'setInterval' | 'Date')[]): void {
  const original = { ...clock }
  mock.timers.enable({ apis })
  if (apis.includes('setTimeout')) Object.assign(clock, { setTimeout, clearTimeout })
  if (apis.includes('setInterval')) Object.assign(clock, { setInterval, clearInterval })
  if (apis.includes('Date')) clock.wallNow = () => Date.now()
  t.teardown(() => {
    mock.timers.reset()
    Object.assign(clock, original)
  })
}
