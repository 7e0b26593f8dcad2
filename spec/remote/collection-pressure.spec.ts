// Unreachable netrefs are released without an explicit collection: netrefs make the engine of their holder collect, even
// if nothing else does.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mock } from 'node:test'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { connect, Netref } from '../../lib/index.js'
import { useFakeClock } from '../support/fake-clock.js'
import { CHILD_ENV, overMemory, waitUntil } from '../support/helpers.js'

// biome-ignore lint/suspicious/noExplicitAny: what is called is for the run time to say
type Any = any

const CALLS = 1100
/** On a busy machine a collection in the background takes longer than `CALLS`. */
const MAX_REPETITIONS = 5

/** Replaces the allocation outside the heap. @returns the number of allocations so far */
function watchMemory(t: Test, asked = () => {}): () => number {
  const real = ArrayBuffer
  let count = 0
  globalThis.ArrayBuffer = new Proxy(real, {
    construct(target, [size]: [number]) {
      if (size < 2 ** 26) return new target(size)
      count++
      asked()
      return new target(size)
    }
  })
  t.teardown(() => {
    globalThis.ArrayBuffer = real
  })
  return () => count
}

const service = { see: (_: unknown) => {}, make: () => new Thing() }

class Thing {
  exposed_size() {
    return 100_000
  }
}

t.test('remaining netrefs are released when no more arrive', t => {
  useFakeClock(t, ['setTimeout'])
  return overMemory(t, service, async ({ root, session, served }) => {
    const asked = watchMemory(t)
    for (let i = 0; i < 150; i++) await root.see(() => {})
    mock.timers.tick(999)
    for (let i = 0; i < 150; i++) await root.see(() => {})
    mock.timers.tick(1)
    t.equal(asked(), 0, 'more netrefs have arrived')
    mock.timers.tick(1000)
    await waitUntil(() => session.stats.exports === 0)
    t.equal(served.stats.imports, 0)
    t.equal(asked(), 1)
  })
})

t.test('netrefs of calls that took longer than the last collection are released, too', t => {
  useFakeClock(t, ['setTimeout'])
  let end!: () => void
  const ended = new Promise<void>(resolve => {
    end = resolve
  })
  const service = {
    hold: async (callback: () => void, extra?: () => void) => {
      await ended
      await callback()
      extra?.()
    },
    see: (_: unknown) => {}
  }
  return overMemory(t, service, async ({ root, session }) => {
    const calls = Array.from({ length: 200 }, () => root.hold(() => {}))
    for (let i = 0; i < 500; i++) await root.see(() => {})
    await waitUntil(() => session.stats.exports < 500)
    end()
    await Promise.all(calls)
    // One tick may be too early.
    await waitUntil(() => {
      mock.timers.tick(1000)
      return session.stats.exports === 0
    })
  })
})

t.test('netrefs that were released, or whose session has ended, do not start a collection', t => {
  useFakeClock(t, ['setTimeout'])
  return overMemory(t, service, async ({ root, session }) => {
    const asked = watchMemory(t)
    for (let i = 0; i < 1000; i++) Netref.release(await (root as Any).make())
    await overMemory(t, service, async ({ root }) => {
      for (let i = 0; i < 200; i++) await root.see(() => {})
    })
    mock.timers.tick(5000)
    t.equal(asked(), 0)
    await waitUntil(() => session.stats.exports === 0)
  })
})

/** The name of the calls that have two netrefs each. */
const OF_TWO = 'functions and objects at any depth'

/** Many short calls, each with one netref. */
const streams: Record<string, (root: Any, called: () => void) => Promise<void>> = {
  async 'callbacks that are called'(root, called) {
    for (let i = 0; i < CALLS; i++) {
      await root.each(2, (n: number) => n)
      called()
    }
  },
  async [OF_TWO](root, called) {
    for (let i = 0; i < CALLS; i++) {
      await root.see({ on: [() => {}, new Thing()] })
      called()
    }
  },
  async 'arguments of one-way calls'(root, called) {
    const see = Netref.oneway(root.see)
    for (let i = 0; i < CALLS; i++) {
      await see(() => {})
      await root.see(0)
      called()
    }
  },
  'answers of callbacks': (root, called) =>
    root.answers(CALLS, () => {
      called()
      return new Thing()
    }),
  /** Items are read one by one: an item that is read ahead is not finished. */
  async 'items of an iterator'(root, called) {
    await root.items(
      (async function* () {
        for (let i = 0; i < CALLS; i++) {
          await root.see(0)
          called()
          yield new Thing()
        }
      })()
    )
  }
}

t.test('many short calls keep few references alive, although no code collects', async t => {
  const child = fork(fileURLToPath(new URL('../support/fixtures/non-retaining-server.ts', import.meta.url)), {
    env: CHILD_ENV,
    execArgv: ['--import', 'tsx']
  })
  t.teardown(() => child.disconnect())
  const [url] = await once(child, 'message')
  await using conn = connect(url)
  for (const [name, stream] of Object.entries(streams)) {
    let most = 0
    let sent = 0
    for (let i = 0; i < MAX_REPETITIONS && most >= 0.9 * sent; i++) {
      await stream(conn.root, () => {
        most = Math.max(most, conn.stats.exports)
      })
      sent += CALLS * (name === OF_TWO ? 2 : 1)
    }
    t.ok(most < 0.9 * sent, `${name}: ${most} of ${sent} were held at a time`)
  }
  await waitUntil(() => conn.stats.exports < 100)
})

t.test('calls work if the allocation fails', t =>
  overMemory(t, service, async ({ root }) => {
    const asked = watchMemory(t, () => {
      throw new RangeError('Array buffer allocation failed')
    })
    for (let i = 0; i < 1000; i++) await root.see(() => {})
    t.equal(asked(), 1)
  })
)
