// What is not sent after all: results are let go of, arguments stay their owner's.
import { Duplex, Readable, Writable } from 'node:stream'
import { createContext, runInContext } from 'node:vm'
import t, { type Test } from 'tap'
import { expose, MemoryIdempotencyStore, Netref, type Pair, registerType } from '../../lib/index.js'
import { iterator, overMemory, rejectionOf, waitUntil } from '../support/helpers.js'
import { runEventLoop, type Untyped } from '../support/wire.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

/** Promises that fail after a while: what handles them is to be there by then. */
const failing: Promise<unknown>[] = []
function willFail(): Promise<never> {
  const promise = Promise.resolve().then(() => Promise.reject(new Error('nobody heard of it')))
  failing.push(promise)
  return promise
}

/** A pair of streams that are accessors, as those of the web's classes are. */
class Ends {
  readonly #ends: readonly [ReadableStream, WritableStream]
  constructor(...ends: [ReadableStream, WritableStream]) {
    this.#ends = ends
  }
  get readable() {
    return this.#ends[0]
  }
  get writable() {
    return this.#ends[1]
  }
}

/** One thing of each kind that has a flow, and what was done to them. */
class Probe {
  readonly ended: Record<string, number> = {}
  readonly #streams: { locked: boolean }[] = []

  #end(what: string): void {
    this.ended[what] = (this.ended[what] ?? 0) + 1
  }

  #record() {
    const next = () => ({ done: false, value: 1 })
    const stop = () => ({ done: true, value: { late: willFail() }, end: this.#end('record') })
    return iterator({ next, return: stop })
  }

  async *#steps() {
    yield 1
  }

  *#stepsAtOnce() {
    yield 1
  }

  /** A generator that has not begun tells nobody that it was stopped. */
  #generator<G extends Generator | AsyncGenerator>(what: string, steps: G): G {
    const stop = steps.return.bind(steps) as (value: unknown) => never
    return Object.defineProperty(steps, 'return', {
      value: (value: unknown) => {
        this.#end(what)
        return stop(value)
      }
    })
  }

  #node(what: string, stream: Readable | Writable) {
    return stream.on('close', () => this.#end(what))
  }

  make() {
    const readable = new ReadableStream({ cancel: () => this.#end('readable') })
    const writable = new WritableStream({ abort: () => this.#end('writable') })
    const pair = new Ends(
      // That it fails at it is nobody's business.
      new ReadableStream({
        cancel: () => {
          this.#end('readable of a pair')
          return willFail()
        }
      }),
      new WritableStream({ abort: () => this.#end('writable of a pair') })
    )
    this.#streams.push(readable, writable, pair.readable, pair.writable)
    return {
      job: willFail(),
      list: [willFail(), new Map([['key', new Set([willFail()])]])],
      failed: Object.assign(new Error('it failed'), { job: willFail(), list: [{}, willFail(), willFail()] }),
      elsewhere: runInContext('Promise.reject(new Error("of another realm"))', createContext()),
      later: Promise.resolve(this.#record()),
      record: this.#record(),
      generator: this.#generator('generator', this.#stepsAtOnce()),
      asyncGenerator: this.#generator('async generator', this.#steps()),
      readable,
      writable,
      pair,
      node: this.#node('node', new Readable({ read() {} })),
      nodeWritable: this.#node('node writable', new Writable({ write() {} })),
      duplex: this.#node('duplex', new Duplex({ read() {}, write() {} })),
      reference: expose({ job: 1 })
    }
  }

  /** Each was let go of, once. */
  async letGo(t: Test): Promise<void> {
    const all = {
      record: 2,
      generator: 1,
      'async generator': 1,
      readable: 1,
      writable: 1,
      'readable of a pair': 1,
      'writable of a pair': 1,
      node: 1,
      'node writable': 1,
      duplex: 1
    }
    const done = () => Object.entries(all).every(([what, times]) => (this.ended[what] ?? 0) >= times)
    await waitUntil(() => done() || this.#late()).catch(() => {})
    await runEventLoop()
    t.same(this.ended, all, 'each value is disposed of once')
    this.#heard(t)
  }

  /** After so many turns nothing more is to come. */
  #turns = 0
  #late(): boolean {
    return ++this.#turns > 2000
  }

  /** Each is as it was. */
  async untouched(t: Test): Promise<void> {
    await runEventLoop()
    t.same(this.ended, {}, 'no value was ended')
    t.notOk(
      this.#streams.some(({ locked }) => locked),
      'nothing is locked'
    )
    this.#heard(t)
  }

  #heard(t: Test): void {
    t.same(unhandled.splice(0), [], 'no rejection is unhandled')
  }
}

t.teardown(() => Promise.allSettled(failing.splice(0)))

/** The kind that a registered type is of: what it encodes to is let go of with it. */
class Job {
  constructor(readonly made: object) {}
}
registerType(Job, { name: 'Job', encode: ({ made }) => made, decode: sent => new Job(sent) })

const LONG = 'x'.repeat(10_000)
const deep = (value: unknown, levels = 100): unknown => (levels === 0 ? value : [deep(value, levels - 1)])
const unsendable = Symbol('unsendable')

/** With the limits of the client, so that results can be beyond them. */
const OPTIONS = {
  limits: { jsonBytes: 8192, values: 100, depth: 50 },
  serving: { limits: { exports: 100 }, onError() {}, idempotencyStore: new MemoryIdempotencyStore() }
}

let probe = new Probe()
/** What settles the promise that was made last. */
let settle!: { resolve(value: unknown): void; reject(error: unknown): void }
const promised = () =>
  new Promise((resolve, reject) => {
    settle = { resolve, reject }
  })
const make = () => probe.make()

t.test('results that are not sent are disposed of', async t => {
  const run = (name: string, result: () => unknown, act: (joined: Pair<Untyped>) => unknown) =>
    t.test(name, async t => {
      await overMemory(
        t,
        { result },
        async joined => {
          probe = new Probe()
          await act(joined)
          await probe.letGo(t)
        },
        OPTIONS
      )
    })
  const refused = ({ root }: Pair<Untyped>) => rejectionOf(root.result())
  const oneway = ({ root }: Pair<Untyped>) => Netref.oneway(root.result)()

  await run('beside what cannot be sent', () => ({ ...make(), unsendable }), refused)
  await run('after it', () => ({ unsendable, ...make() }), refused)
  await run('above it', () => [make(), { deeper: [unsendable] }], refused)
  await run('by itself', () => Object.values(make()).concat(unsendable as never), refused)
  const aCycle = () => {
    const cycle: Untyped = { made: make(), unsendable }
    cycle.cycle = cycle
    return cycle
  }
  await run('in a cycle', aCycle, refused)
  const once = (act: () => unknown) => {
    let made: unknown
    return () => {
      if (made) throw new Error('it was read twice')
      return (made = act())
    }
  }
  const read = () => Object.defineProperty({ unsendable }, 'made', { get: once(make), enumerable: true })
  await run('in an accessor that is not read any more', () => [read(), { unsendable }], refused)
  const reads = () =>
    Object.defineProperties(
      {},
      {
        made: { get: once(make), enumerable: true },
        unsendable: { value: unsendable, enumerable: true }
      }
    )
  await run('in an accessor that was read', reads, refused)
  await run('too long', () => ({ ...make(), LONG }), refused)
  await run('too many', () => ({ ...make(), dates: Array.from({ length: 200 }, () => new Date()) }), refused)
  await run(
    'too many references',
    () => ({ ...make(), functions: Array.from({ length: 200 }, () => () => {}) }),
    refused
  )
  await run('too deep', () => ({ ...make(), deep: deep(1) }), refused)
  await run('of a registered type', () => [new Job(make()), unsendable], refused)
  await run('of a registered type that is not there yet', () => [unsendable, new Job(make())], refused)
  await run('in a registered type', () => new Job({ ...make(), unsendable }), refused)
  const row = (_: unknown, i: number) => ({ cell: i === 19 ? [make(), unsendable] : i })
  await run('in a table', () => Array.from({ length: 20 }, row), refused)
  const trap = () => {
    throw new Error('a trap')
  }
  await run('beside a proxy that throws', () => [new Proxy({}, { ownKeys: trap }), make()], refused)
  const thrown = (value: () => unknown) => () => {
    throw value()
  }
  await run(
    'thrown',
    thrown(() => ({ ...make(), unsendable })),
    refused
  )
  await run('rejected with', async () => thrown(() => ({ ...make(), unsendable }))(), refused)
  await run('of a one-way call', make, oneway)
  await run('of a one-way call, later', async () => make(), oneway)
  await run('of a one-way call, in a promise', () => ({ later: (async () => make())() }), oneway)
  const left = (end: () => void) => async (joined: Pair<Untyped>) => {
    const failed = rejectionOf(joined.root.result())
    await joined.ping()
    await joined.close()
    end()
    await failed
  }
  await run(
    'for a caller that left',
    promised,
    left(() => settle.resolve(make()))
  )
  await run(
    'thrown for a caller that left',
    promised,
    left(() => settle.reject(make()))
  )
  await run(
    'what a promise comes to that nobody waits for',
    () => ({ job: promised() }),
    async joined => {
      const { job } = await joined.root.result()
      Netref.release(job)
      await joined.ping()
      settle.resolve(make())
    }
  )
  await run(
    'what a promise comes to',
    async () => ({ job: Promise.resolve({ ...make(), unsendable }) }),
    async ({ root }) => {
      const { job } = await root.result()
      await rejectionOf(job)
    }
  )
  await run(
    'what a promise comes to that is too long',
    () => ({ job: Promise.resolve({ ...make(), LONG }) }),
    async ({ root }) => {
      const { job } = await root.result()
      await rejectionOf(job)
    }
  )
  const readAll = async ({ root }: Pair<Untyped>) => {
    for await (const _ of root.result());
  }
  const unread = (joined: Pair<Untyped>) => rejectionOf(readAll(joined))
  async function* items(item: () => unknown) {
    yield item()
  }
  function* itemsAtOnce(item: () => unknown) {
    yield item()
  }
  for (const list of [items, itemsAtOnce]) {
    await run(`in an item of ${list.name}`, () => list(() => ({ ...make(), unsendable })), unread)
    await run(`in a long item of ${list.name}`, () => list(() => ({ ...make(), LONG })), unread)
  }
  async function* returns(value: () => unknown) {
    yield* []
    return await value()
  }
  await run('returned by a generator', () => returns(() => ({ ...make(), unsendable })), unread)
  const chunks = () => new ReadableStream({ start: stream => stream.enqueue({ ...make(), unsendable }) })
  await run('in a chunk of a stream', chunks, unread)
  const late = (item: () => unknown) => async (joined: Pair<Untyped>) => {
    const iterator = await joined.root.result()
    const failed = rejectionOf(iterator[Symbol.asyncIterator]().next())
    await joined.ping()
    Netref.release(iterator)
    await joined.ping()
    settle.resolve(item())
    await failed
  }
  await run(
    'in an item that is too late',
    async function* () {
      yield await promised()
    },
    late(make)
  )
  await run(
    'in an item that is too late, in a promise',
    function* () {
      yield promised()
    },
    late(make)
  )
  await run('returned too late', () => returns(promised), late(make))
  const keyed = ({ root }: Pair<Untyped>) =>
    rejectionOf(Netref.with(root.result, { idempotencyKey: 'a key' })())
  await run('of a call with a key', () => ({ ...make(), unsendable }), keyed)
})

t.test('objects that the peer holds stay usable if another value of the message cannot be sent', async t => {
  const numbers = (function* () {
    for (let n = 0; n < 3; n++) yield n
  })()
  const service = { numbers: () => numbers, echo: (value: unknown) => value }
  await overMemory(t, service, async joined => {
    const root = joined.root as Untyped
    const iterator = await root.numbers()
    await Netref.oneway(root.numbers)()
    await joined.ping()
    const read: number[] = []
    for await (const n of iterator) read.push(n)
    t.same(read, [0, 1, 2])
    let stopped = false
    const ours = (function* () {
      yield 1
    })()
    Object.defineProperty(ours, 'return', {
      value: (value: unknown) => {
        stopped = true
        return { done: true, value }
      }
    })
    await Netref.oneway(root.echo)(ours)
    await joined.ping()
    t.notOk(stopped, 'nor are values that it produced')
  })
})

t.test('arguments that are not sent stay with their owner', async t => {
  const service = () => ({
    text: 'a',
    set: 1,
    take: () => {},
    wait: () => promised(),
    object: () => expose({ take() {} }),
    copy: () => ({ n: 1 }),
    sink: () => new WritableStream()
  })
  const run = (name: string, act: (root: Untyped, joined: Pair<Untyped>) => unknown) =>
    t.test(name, async t => {
      await overMemory(
        t,
        service(),
        async joined => {
          probe = new Probe()
          await joined.ping()
          await act(joined.root, joined)
          await probe.untouched(t)
        },
        { serving: { limits: OPTIONS.limits, allowSetAttrs: true, allowPublicAttrs: true } }
      )
    })
  await run('beside what cannot be sent', root => rejectionOf(root.take({ ...make(), unsendable })))
  await run('after it', root => rejectionOf(root.take(unsendable, make())))
  await run('too long', root => rejectionOf(root.take(make(), LONG)))
  await run('of a one-way call', root => rejectionOf(Netref.oneway(root.take)(make(), unsendable)))
  await run('given up before', root => {
    const signal = AbortSignal.abort()
    return rejectionOf(Netref.with(root.take, { signal })(make()))
  })
  await run('after the end', async (root, joined) => {
    await joined.close()
    await rejectionOf(root.take(make()))
  })
  await run('of a call on what was released', async root => {
    const object = await root.object()
    Netref.release(object)
    await rejectionOf(object.take(make()))
  })
  await run('of a call on an error', async root => {
    const failed = root.nobody()
    await rejectionOf(failed)
    await rejectionOf(failed.take(make()))
  })
  await run('of a call on a copy', async root => {
    const copy = root.copy()
    await copy
    await rejectionOf(copy.take(make()))
  })
  await run('of a call with a key', root =>
    rejectionOf(Netref.with(root.take, { idempotencyKey: 'a key' })(make()))
  )
  await run('a value to set', root => rejectionOf(Netref.set(root, 'set', { ...make(), unsendable })))
  await run('a value to set on what is no netref', () =>
    rejectionOf(Netref.set({} as never, 'set' as never, make() as never))
  )
  await run('a reason', async (root, joined) => {
    const stop = new AbortController()
    const failed = Netref.with(root.wait, { signal: stop.signal })().catch(() => {})
    await joined.ping()
    stop.abort({ ...make(), unsendable })
    await failed
    settle.resolve(0)
  })
  await run('a chunk', async root => {
    const writer = (await root.sink()).getWriter()
    writer.closed.catch(() => {})
    await rejectionOf(writer.write({ ...make(), unsendable }))
  })
  await run('what a promise comes to, too late', async (root, joined) => {
    const value = promised()
    const { resolve } = settle
    const failed = rejectionOf(root.take(value).then(() => joined.close()))
    await joined.closed
    resolve(make())
    await failed
  })
  await run('what a promise comes to', async (root, joined) => {
    await root.take(Promise.resolve({ ...make(), unsendable }))
    await joined.ping()
  })
})

t.test('only values that a path passes through are disposed of', async t => {
  class Jobs {
    get job() {
      return willFail()
    }
    get jobs() {
      return [willFail()]
    }
    get map() {
      return new Map([[1, willFail()]])
    }
    get zero(): never {
      throw new Error('it cannot be read')
    }
  }
  await overMemory(
    t,
    { jobs: () => new Jobs() },
    async joined => {
      const root = joined.root as Untyped
      const jobs = await root.jobs()
      await rejectionOf(jobs.job.name)
      await rejectionOf(jobs.map.size)
      await rejectionOf(jobs.job())
      await rejectionOf(jobs.jobs())
      await rejectionOf(new jobs.job())
      await rejectionOf(new jobs.jobs())
      await rejectionOf(Netref.obtain(jobs))
      await runEventLoop()
      t.same(unhandled.splice(0), [])
    },
    { serving: { allowPublicAttrs: true } }
  )
})

t.test('a thenable that is not sent is not started', async t => {
  let begun = 0
  class Query {
    then() {
      begun++
    }
  }
  const query = () => [new Query(), { then: () => begun++ }]
  await overMemory(t, { query, take: () => {} }, async joined => {
    const root = joined.root as Untyped
    await Netref.oneway(root.query)()
    await rejectionOf(root.take(unsendable, query()))
    await joined.ping()
    t.equal(begun, 0)
  })
})
