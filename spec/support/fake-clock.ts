// Time as a spec wants it. netref takes its timers when it is loaded, so that a clock of a test does not reach them: here
// one is put in their place.
import { mock } from 'node:test'
import type { Test } from 'tap'
import { clock } from '../../lib/util/clock.js'

/** From now on these of netref's go on by `mock.timers.tick` alone, until the test is over. */
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
