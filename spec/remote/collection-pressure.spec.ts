// What the other side holds of calls that are over goes without anybody who collects: netrefs make the collector of their
// holder run, as nothing else does where they are all that there is.
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

/** In the place of what is asked for outside the heap. @returns how often that was, so far */
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

t.test('what is left over goes when no more come', t => {
  useFakeClock(t, ['setTimeout'])
  return overMemory(t, service, async ({ root, session, served }) => {
    const asked = watchMemory(t)
    for (let i = 0; i < 150; i++) await root.see(() => {})
    mock.timers.tick(999)
    for (let i = 0; i < 150; i++) await root.see(() => {})
    mock.timers.tick(1)
    t.equal(asked(), 0, 'more have come')
    mock.timers.tick(1000)
    await waitUntil(() => session.stats.exports === 0)
    t.equal(served.stats.imports, 0)
    t.equal(asked(), 1)
  })
})

t.test('so does what was held by calls that took longer than it was since the collector ran', t => {
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
    // One tick may find that it is too soon.
    await waitUntil(() => {
      mock.timers.tick(1000)
      return session.stats.exports === 0
    })
  })
})

t.test('what is released by itself is no reason to collect, nor is what its session has ended with', t => {
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

/** Streams of short calls. Each tells of every call. */
const streams: Record<string, (root: Any, called: () => void) => Promise<void>> = {
  async 'callbacks that are called'(root, called) {
    for (let i = 0; i < CALLS; i++) {
      await root.each(2, (n: number) => n)
      called()
    }
  },
  async 'functions and objects at any depth'(root, called) {
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
  /** Each is asked for by itself: what is read ahead is not over. */
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

t.test('in a steady stream of short calls few references are held, though nobody collects', async t => {
  const child = fork(fileURLToPath(new URL('../support/fixtures/non-retaining-server.ts', import.meta.url)), {
    env: CHILD_ENV,
    execArgv: ['--import', 'tsx']
  })
  t.teardown(() => child.disconnect())
  const [url] = await once(child, 'message')
  await using conn = connect(url)
  for (const [name, stream] of Object.entries(streams)) {
    let most = 0
    await stream(conn.root, () => {
      most = Math.max(most, conn.stats.exports)
    })
    t.ok(most < 1000, `${name}: ${most} were held at a time`)
  }
  await waitUntil(() => conn.stats.exports < 100)
})

t.test('where there is no memory to ask for, calls go on', t =>
  overMemory(t, service, async ({ root }) => {
    const asked = watchMemory(t, () => {
      throw new RangeError('Array buffer allocation failed')
    })
    for (let i = 0; i < 1000; i++) await root.see(() => {})
    t.equal(asked(), 1)
  })
)
