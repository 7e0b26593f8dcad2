// Clocks of tests (Jest, Vitest, Sinon): what they put in the place of timers stands still, and nothing waits for it.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { Service } from '../lib/index.js'
import { CHILD_ENV, overMemory } from './helpers.js'
import type { Loose } from './wire.js'

t.test('everything goes on while the clock of a test stands still', async t => {
  const program = fileURLToPath(new URL('fixtures/frozen-clock.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program], {
    env: CHILD_ENV
  })
  const done = '5000 4498500 3000000 3000000 30000 Error: nobody awaits it'
  t.equal(stdout, `socket ${done}\nmemory ${done}\nlate server-closed\n`)
})

class Echo extends Service {
  exposed_echo = (value: unknown) => value
}

t.test('a date that such a clock made is a date', async t => {
  const RealDate = Date
  /** As Sinon has it, and Jest and Vitest with it. */
  class ClockDate extends RealDate {
    constructor(...time: [number]) {
      super(...time)
      Object.defineProperty(this, 'constructor', { value: RealDate, enumerable: false })
    }
  }
  /** As Vitest has it for `vi.setSystemTime` alone. */
  class MockDate extends RealDate {}
  class Day extends RealDate {}
  await overMemory(t, Echo, async ({ root }) => {
    const { echo } = root as Loose
    for (const Type of [ClockDate, MockDate]) {
      globalThis.Date = Type as never
      const made = new Date(5)
      const back = await echo(made)
      t.ok(back instanceof Type && back !== made, Type.name)
      globalThis.Date = RealDate
      t.equal(back.getTime(), 5)
      t.ok(back instanceof Date)
    }
    const early = new ClockDate(7)
    t.not(await echo(early), early, 'made under that clock, sent when it is gone')
    const day = new Day(5)
    t.equal(await echo(day), day, 'a class of a program’s own stays home')
  })
})
