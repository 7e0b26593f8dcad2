// Tests that calls cancelled before their frame was sent never run, whatever kept the frame.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  type Connection,
  connect,
  expose,
  MemoryIdempotencyStore,
  Netref,
  pair,
  serve
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { clock } from '../../lib/util/clock.js'
import { assertClean, breakableAgent, rejectionOf, waitUntil } from '../support/helpers.js'
import { recordMessages, type Untyped } from '../support/wire.js'

/** Number of random sequences. */
const RUNS = Number(process.env.NETREF_GIVEN_UP ?? 25)

/** Records each object that runs. */
function desk() {
  const ran: string[] = []
  const note = (what: string) => void ran.push(what)
  class Made {
    constructor() {
      note('construct')
    }
  }
  const object = {
    call: () => note('call'),
    get value() {
      note('get')
      return 1
    },
    set value(_: number) {
      note('set')
    },
    Made,
    async *numbers() {
      note('numbers')
      yield 1
    },
    *steps(): Generator<number, void, unknown> {
      for (let i = 0; ; i++) note(`step ${yield i}`)
    },
    stream() {
      const pull = (controller: ReadableStreamDefaultController) => {
        note('pull')
        controller.enqueue(1)
      }
      return new ReadableStream({ pull }, { highWaterMark: 0 })
    },
    sink: () => new WritableStream({ write: () => note('write') }),
    child: () => {
      note('child')
      return expose({ call: () => note('called the child') })
    },
    hear: (hear: (text: string) => unknown) => hear('heard'),
    open: (_: unknown) => 'open'
  }
  const deleting: ProxyHandler<object> = {
    deleteProperty() {
      note('delete')
      return true
    }
  }
  return { root: expose(new Proxy(object, deleting), { write: ['value'] }), ran }
}

const allKinds = () => [
  () => {},
  Netref.lend(() => {}),
  new Uint8Array(8),
  expose({}),
  new AbortController().signal,
  Promise.resolve(1)
]

const OPERATIONS: Record<string, (root: Untyped) => PromiseLike<unknown>> = {
  call: root => root.call(),
  'call with all kinds of arguments': root =>
    root.call(...allKinds(), new ReadableStream(), [][Symbol.iterator]()),
  construct: root => new root.Made(),
  get: root => root.value,
  set: root => Netref.set(root, 'value', 2),
  delete: root => Netref.delete(root, 'value'),
  has: root => Netref.has(root, 'value'),
  keys: root => Netref.keys(root),
  obtain: root => Netref.obtain(root),
  describe: root => Netref.describe(root),
  iterate: root => root.numbers()[Symbol.asyncIterator]().next(),
  'one-way call': root => Netref.oneway(root.call)(() => {}),
  'call with a key': root => Netref.with(root.call, { idempotencyKey: 'once' })(),
  'call of a callback': root => root.hear(() => {}),
  'call on a result': root => root.child().call(),
  'calls on a result': root => {
    const child = root.child()
    void Netref.oneway(child.call)().catch(() => {})
    void child.call().catch(() => {})
    return child
  }
}

/** Requests that can be cancelled, in a session that has begun. */
const FLOWS: Record<string, (root: Untyped, signal: AbortSignal) => Promise<() => PromiseLike<unknown>>> = {
  'a loop': async (root, signal) => {
    const it = (await Netref.with(root.numbers, { signal })())[Symbol.asyncIterator]()
    return () => it.next()
  },
  'an item after the first': async (root, signal) => {
    const it = await Netref.with(root.steps, { signal })()
    await it.next()
    return () => it.next()
  },
  'next(value)': async (root, signal) => {
    const it = await Netref.with(root.steps, { signal })()
    await it.next()
    return () => it.next('given')
  },
  'a stream to read': async (root, signal) => {
    const reader = (await Netref.with(root.stream, { signal })()).getReader()
    return () => reader.read()
  },
  'a stream to write': (root, signal) => writing(root, signal),
  'a chunk after the first': (root, signal) => writing(root, signal, 0)
}

const WRITES = new Set(['a stream to write', 'a chunk after the first'])

async function writing(root: Untyped, signal: AbortSignal, ...first: unknown[]) {
  const writer = (await root.sink()).getWriter()
  for (const chunk of first) await writer.write(chunk)
  writer.closed.catch(() => {})
  return () => {
    const written = writer.write(1)
    signal.addEventListener('abort', () => writer.abort(signal.reason).catch(() => {}), { once: true })
    return written
  }
}

/** A client whose socket the spec controls. */
interface Line {
  readonly conn: Connection<Untyped>
  readonly ran: string[]
  /** Accepts the client. */
  admit(): void
  socket: Socket
  /** Whether new sockets break immediately. */
  isDown: boolean
}

async function onLine(
  t: Test,
  use: (line: Line) => Promise<unknown>,
  service?: object,
  limits = {}
): Promise<void> {
  const { root, ran } = desk()
  const line = { ran, isDown: false } as Line
  const admitted = new Promise<void>(resolve => {
    line.admit = resolve
  })
  const authenticate = async () => admitted.then(() => 'somebody')
  await using server = await serve(service ?? root, {
    port: 0,
    idempotencyStore: new MemoryIdempotencyStore(),
    authenticate,
    limits
  })
  const agent = new Agent() as Agent & { createConnection(...args: unknown[]): Socket }
  const open = agent.createConnection.bind(agent)
  agent.createConnection = (...args) => {
    line.socket = open(...args)
    if (line.isDown) line.socket.destroy()
    return line.socket
  }
  await using conn = connect<Untyped>(server.url, { agent, reconnect: { delay: 1, maxDelay: 5 } })
  Object.assign(line, { conn })
  await use(line)
  await assertClean(t, conn.session, ...server.sessions)
}

/** Lets the socket accept bytes and send none. */
const cork = ({ socket }: Line) => socket.writableCorked > 0 || socket.cork()

function uncork({ socket }: Line): void {
  while (socket.writableCorked > 0) socket.uncork()
}

interface Place {
  enter(line: Line): Promise<unknown>
  leave(line: Line): void
}

async function begin({ admit, conn }: Line): Promise<void> {
  admit()
  await conn.ping()
}

const PLACES: Record<string, Place> = {
  'while connecting': { enter: async () => {}, leave: ({ admit }) => admit() },
  'while interrupted': {
    async enter(line) {
      await begin(line)
      line.isDown = true
      line.socket.destroy()
      await waitUntil(() => line.conn.state === 'interrupted')
    },
    leave(line) {
      line.isDown = false
    }
  },
  'with a full send buffer': {
    async enter(line) {
      await begin(line)
      cork(line)
      void line.conn.root.open('x'.repeat(2 << 20))
      await waitUntil(() => line.socket.writableLength > 1 << 20)
    },
    leave: uncork
  },
  'in the same tick': { enter: begin, leave: () => {} }
}

for (const [where, place] of Object.entries(PLACES)) {
  const waits = where === 'in the same tick' ? undefined : turn
  t.test(where, async t => {
    for (const [name, operation] of Object.entries(OPERATIONS)) {
      for (const way of waits ? ['timeout', 'signal'] : ['signal']) {
        await t.test(`${name}, by ${way}`, t =>
          onLine(t, async line => {
            await place.enter(line)
            const stop = new AbortController()
            const options = way === 'signal' ? { signal: stop.signal } : { timeout: 1 }
            const call = rejectionOf(operation(Netref.with(line.conn.root, options)))
            await waits?.()
            stop.abort()
            t.match(await call, { name: way === 'signal' ? 'AbortError' : 'TimeoutError', mayHaveRun: false })
            place.leave(line)
            await line.conn.ping()
            t.same(line.ran, [], 'nothing ran')
          })
        )
      }
    }
    if (where === 'while connecting') return
    for (const [name, flow] of Object.entries(FLOWS)) {
      await t.test(name, t =>
        onLine(t, async line => {
          const stop = new AbortController()
          await begin(line)
          const read = await flow(line.conn.root, stop.signal)
          await line.conn.ping()
          line.ran.length = 0
          await place.enter(line)
          const item = rejectionOf(read())
          await waits?.()
          stop.abort()
          const error = await item
          // Written bytes may be accepted before they are sent.
          if (!WRITES.has(name)) t.match(error, { name: 'AbortError', mayHaveRun: false })
          place.leave(line)
          await line.conn.ping()
          t.same(line.ran, [], 'nothing ran')
        })
      )
    }
  })
}

/** A root whose calls are recorded and never answered. */
function silent() {
  const asked: unknown[] = []
  const never = (...args: unknown[]) => {
    asked.push(args[0])
    return new Promise<never>(() => {})
  }
  const root = expose({
    never,
    bytes: (bytes: Uint8Array) => bytes.length,
    note: (what: unknown) => void asked.push(what),
    get slow() {
      return never('slow')
    },
    async *items() {
      yield 0
      await never('items')
    }
  })
  return { asked, root }
}

t.test('a call whose frame was sent rejects with may-have-run', async t => {
  const { root, asked } = silent()
  await using conn = pair<Untyped>(root)
  const kinds: Record<string, (root: Untyped) => PromiseLike<unknown>> = {
    'a call': root => root.never('call'),
    'a call on a result': root => root.never('base').on(),
    'a read': root => root.slow
  }
  for (const [name, begin] of Object.entries(kinds)) {
    const stop = new AbortController()
    const call = rejectionOf(begin(Netref.with(conn.root, { signal: stop.signal })))
    await conn.ping()
    stop.abort()
    t.match(await call, { name: 'AbortError', mayHaveRun: true }, name)
    t.match(await rejectionOf(begin(Netref.with(conn.root, { timeout: 1 }))), {
      name: 'TimeoutError',
      mayHaveRun: true
    })
  }
  const stop = new AbortController()
  const it = (await Netref.with(conn.root.items, { signal: stop.signal })())[Symbol.asyncIterator]()
  t.same(await it.next(), { done: false, value: 0 })
  const item = rejectionOf(it.next())
  await conn.ping()
  stop.abort()
  t.match(await item, { name: 'AbortError', mayHaveRun: true }, 'an item')
  t.match(asked, ['call', 'call', 'base', 'base', 'slow', 'slow', 'items'])
})

t.test('requests on iterators, streams and promises state the same at the end of a session', async t => {
  for (const left of [true, false]) {
    await t.test(left ? 'while it is open' : 'while interrupted', async t => {
      const { root } = silent()
      const flows = { items: root.items, sink: () => new WritableStream(), promise: () => [root.never()] }
      await using server = await serve(expose(flows), { port: 0 })
      const { agent, die } = breakableAgent()
      await using conn = connect<Untyped>(server.url, { agent, reconnect: { delay: 60_000 } })
      const iterate = async (steps: number) => {
        const it = await Netref.with(conn.root.items, { window: 1 })()
        for (let i = 0; i < steps; i++) await it.next()
        return it
      }
      const write = async () => (await conn.root.sink()).getWriter()
      const [unread, idle] = [await iterate(0), await iterate(1)]
      const [waits, asked] = [await iterate(1), await iterate(1)]
      const [unwritten, written, late] = [await write(), await write(), await write()]
      const [promise] = await conn.root.promise()
      const before = [waits.next(), promise, written.closed].map(rejectionOf)
      await written.write(1)
      await conn.ping()
      const { sessions } = server
      if (!left) {
        die()
        await waitUntil(() => conn.state === 'interrupted')
      }
      const after = [asked.next(), late.closed].map(rejectionOf)
      void late.write(1).catch(() => {})
      if (left) await conn.ping()
      await conn.close()
      for (const error of await Promise.all(before)) t.match(error, { code: 'closed', mayHaveRun: true })
      for (const error of await Promise.all(after)) t.match(error, { code: 'closed', mayHaveRun: left })
      for (const never of [unread.next(), idle.next(), unwritten.write(1)])
        t.match(await rejectionOf(never), { code: 'closed', mayHaveRun: false })
      const theirs = [...sessions]
      await server.close()
      await assertClean(t, conn.session, ...theirs)
    })
  }
})

t.test(
  'the reason of several calls says whether any may have run; a reason that is no error stays unchanged',
  async t => {
    const { root, asked } = silent()
    await using conn = pair<Untyped>(root)
    const stop = new AbortController()
    const { never } = Netref.with(conn.root, { signal: stop.signal })
    const left = rejectionOf(never('left'))
    await conn.ping()
    const stayed = rejectionOf(never('stayed'))
    stop.abort()
    t.equal(await left, await stayed)
    t.match(await left, { mayHaveRun: true })
    for (const reason of ['a text', Object.freeze(new Error('frozen'))]) {
      const stop = new AbortController()
      const call = rejectionOf(Netref.with(conn.root.never, { signal: stop.signal })('stayed'))
      stop.abort(reason)
      t.equal(await call, reason)
    }
    const early = AbortSignal.abort()
    t.match(await rejectionOf(Netref.with(conn.root.never, { signal: early })('early')), {
      mayHaveRun: false
    })
    await conn.ping()
    t.same(asked, ['left'])
  }
)

t.test('a withdrawn message becomes a ping, or nothing, and the rest of its frame stays', async t => {
  const { root, asked } = silent()
  const lines: string[] = []
  await using conn = pair<Untyped>(root, { trace: (_, line) => void lines.push(line) })
  await conn.ping()
  const [out] = recordMessages(conn)
  const stop = new AbortController()
  const { never, note } = Netref.with(conn.root, { signal: stop.signal })
  const stream = new ReadableStream({ start: controller => controller.enqueue('there') })
  let returned = false
  const steps = {
    next: () => ({ done: false, value: 1 }),
    return: () => ({ done: (returned = true), value: 1 }),
    [Symbol.iterator]: () => steps
  }
  const failing = Promise.reject(new Error('nobody is told'))
  const { signal } = new AbortController()
  const args = [stream, steps, failing, signal, () => {}, Netref.lend(() => {}), new Uint8Array(100)]
  const calls = [never(...args), Netref.oneway(note)(new Uint8Array(5), () => {}), never.on()]
  const size = conn.root.bytes(new Uint8Array(7))
  t.ok(stream.locked)
  stop.abort()
  t.equal(conn.session.stats.exports, 0)
  t.notOk(stream.locked)
  for (const call of calls) t.match(await rejectionOf(call), { mayHaveRun: false })
  t.equal(await size, 7, 'bytes go with their own message')
  t.same([out.map(([op]) => op), asked, returned], [[Op.ping, Op.ping, Op.call], [], false])
  t.notMatch(lines.join(), 'never')
  t.same(await stream.getReader().read(), { done: false, value: 'there' })
  await assertClean(t, conn.session, conn.served)
})

t.test('callbacks of an interrupted client are withdrawn, too', async t => {
  let hear: Untyped
  await using server = await serve({ hold: (listener: Untyped) => void (hear = listener) }, { port: 0 })
  const { agent, die } = breakableAgent()
  await using conn = connect<Untyped>(server.url, { agent, reconnect: { delay: 1, maxDelay: 1 } })
  const received: string[] = []
  await conn.root.hold((text: string) => void received.push(text))
  const [session] = server.sessions
  let given: Promise<Error[]> | undefined
  session!.on('interrupted', () => {
    const stop = new AbortController()
    const late = Netref.with(hear, { signal: stop.signal })
    given = Promise.all([rejectionOf(late('late')), rejectionOf(Netref.oneway(late)('late'))])
    stop.abort()
  })
  die()
  await waitUntil(() => given !== undefined)
  for (const error of (await given)!) t.match(error, { name: 'AbortError', mayHaveRun: false })
  await hear('in time')
  t.same(received, ['in time'])
  Netref.release(hear)
  hear = undefined
  await assertClean(t, conn.session, session!)
})

t.test('a third party that is cut off from the owner withdraws calls that its caller cancelled', t => {
  const received: string[] = []
  const use = async (line: Line) => {
    await using conn = pair<Untyped>({ get: () => line.conn.root })
    await begin(line)
    const far = await conn.root.get()
    await PLACES['while interrupted']!.enter(line)
    const stop = new AbortController()
    const late = rejectionOf(Netref.with(far.hear, { signal: stop.signal })('late'))
    await conn.ping()
    stop.abort()
    t.match(await late, { name: 'AbortError', mayHaveRun: true }, 'it had been sent to the third party')
    await conn.ping()
    PLACES['while interrupted']!.leave(line)
    await far.hear('in time')
    t.same(received, ['in time'])
    Netref.release(far)
    await assertClean(t, conn.session, conn.served)
  }
  return onLine(t, use, { hear: (text: string) => void received.push(text) })
})

t.test('an iterator that is left before its first request makes no item', async t => {
  const ran: string[] = []
  const root = {
    async *items() {
      try {
        ran.push('first')
        yield 1
        ran.push('second')
      } finally {
        ran.push('left')
      }
    }
  }
  await using conn = pair<Untyped>(root)
  for (const before of [0, 1]) {
    const it = await conn.root.items()
    if (before === 1) await it.next()
    const next = it.next()
    t.same(await it.return('over'), { done: true, value: 'over' })
    t.same(await next, { done: true, value: undefined })
    t.same(ran, before === 1 ? ['first', 'left'] : [])
  }
  await assertClean(t, conn.session, conn.served)
})

t.test('a call is withdrawn from a closed frame that waits, and no longer counts there', t => {
  const received: string[] = []
  const root = { hear: (text: string) => void received.push(text[0]!) }
  const use = async (line: Line) => {
    const { session } = line.conn
    await PLACES['while interrupted']!.enter(line)
    const before = session.stats.buffered
    const stop = new AbortController()
    const options = { signal: stop.signal }
    // Each fills most of a frame.
    const call = (text: string) => line.conn.root.hear(text.repeat(3000))
    const withdrawn = (text: string) =>
      rejectionOf(Netref.with(line.conn.root.hear, options)(text.repeat(3000)))
    const calls = [withdrawn('a'), call('b'), withdrawn('c'), call('d'), withdrawn('e')]
    t.ok(session.stats.buffered > before + 12_000)
    stop.abort()
    t.ok(session.stats.buffered < before + 7000)
    for (const i of [0, 2, 4]) t.match(await calls[i], { name: 'AbortError', mayHaveRun: false })
    PLACES['while interrupted']!.leave(line)
    await Promise.all([calls[1], calls[3]])
    t.same(received, ['b', 'd'])
  }
  return onLine(t, use, root, { jsonBytes: 4096 })
})

t.test('a listener for a cancelled call may end the session', async t => {
  const { root } = silent()
  await using conn = pair<Untyped>(root)
  await conn.ping()
  const end = () => void conn.close()
  subscribe('netref:reply', end)
  t.teardown(() => unsubscribe('netref:reply', end))
  const stop = new AbortController()
  const { never } = Netref.with(conn.root, { signal: stop.signal })
  const call = never(() => {})
  const built = [rejectionOf(call.on(() => {})), rejectionOf(Netref.oneway(call.on)())]
  stop.abort()
  t.match(await rejectionOf(call), { name: 'AbortError', mayHaveRun: false })
  for (const one of built) t.match(await one, { name: 'AbortError', mayHaveRun: false })
  t.same([conn.session.stats.pending, conn.session.stats.exports], [0, 0])
})

t.test('a waiting one-way call says at the end of its session whether it was sent', t =>
  onLine(t, async line => {
    await PLACES['with a full send buffer']!.enter(line)
    const { conn } = line
    const stayed = rejectionOf(Netref.oneway((conn.root as Untyped).call)())
    PLACES['with a full send buffer']!.leave(line)
    const closed = conn.close()
    t.match(
      await stayed,
      { name: 'SessionEndedError', mayHaveRun: true },
      'it leaves before the session ends'
    )
    await closed
  })
)

t.test('a timeout is one budget for all retries of a call', async t => {
  const taken = { ...clock }
  t.teardown(() => Object.assign(clock, taken))
  let passed = 0
  const waits: number[] = []
  clock.now = () => taken.now() + passed
  clock.setTimeout = ((run: () => void, ms = 0) => {
    if (ms > 500_000) waits.push(ms)
    return taken.setTimeout(run, ms)
  }) as typeof clock.setTimeout
  const { root, asked } = silent()
  const options = { resumeWindow: 0, heartbeat: 0 }
  let server = await serve(root, { port: 0, ...options })
  const port = Number(new URL(server.url).port)
  const conn = connect<Untyped>(server.url, {
    renew: true,
    reconnect: { delay: 1, maxDelay: 1 },
    heartbeat: 0
  })
  const call = rejectionOf(Netref.with(conn.root, { timeout: 1_000_000 }).slow)
  for (let sessions = 1; ; sessions++) {
    await waitUntil(() => asked.length === sessions)
    if (sessions === 3) break
    passed += 200_000
    await server.close()
    server = await serve(root, { port, ...options })
  }
  t.same(
    waits.map(ms => Math.round(ms / 100_000)),
    [10, 8, 6],
    'each session has the rest of the time'
  )
  passed += 600_000
  await server.close()
  t.match(await call, {
    name: 'TimeoutError',
    mayHaveRun: true,
    message: 'root.slow: no reply within 1000000 ms'
  })
  server = await serve(root, { port, ...options })
  await conn.ping()
  t.equal(asked.length, 3, 'the call is not sent in the fourth session')
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
})

t.test('a call that was sent in an earlier session may have run', async t => {
  const { root, asked } = silent()
  const server = await serve(root, { port: 0, resumeWindow: 0 })
  const conn = connect<Untyped>(server.url, { renew: true, reconnect: { delay: 1, maxDelay: 1 } })
  const read = rejectionOf(Promise.resolve(conn.root.slow))
  await waitUntil(() => asked.length === 1)
  await server.close()
  t.equal(conn.state, 'connecting')
  await conn.close()
  t.match(await read, { name: 'SessionEndedError', code: 'closed', mayHaveRun: true })
  await assertClean(t, conn.session)
})

t.test('a trace function may end the session', async t => {
  const { root } = silent()
  let last = ''
  const trace = (_: unknown, line: string) => {
    last = line
    if (line.includes('fatal')) void conn.close()
  }
  await using conn = pair<Untyped>(root, { trace })
  await conn.ping()
  const call = rejectionOf(conn.root.never('fatal'))
  t.match(await call, { name: 'SessionEndedError', code: 'closed' })
  t.match(last, 'fatal')
  await assertClean(t, conn.session, conn.served)
})

/** Sequences of events: calls of all kinds, and faults. */
const KINDS: Record<string, (root: Untyped, id: number) => PromiseLike<unknown>> = {
  call: (root, id) => root.do(id),
  'one-way call': (root, id) => Netref.oneway(root.do)(id),
  'call with a callback': (root, id) => root.do(id, () => {}),
  'call with bytes': (root, id) => root.do(id, new Uint8Array(100)),
  'call with a stream': (root, id) => root.do(id, new ReadableStream()),
  'call on a result': (root, id) => root.same().do(id),
  'call with a key': (root, id) => Netref.with(root.do, { idempotencyKey: String(id) })(id)
}
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom(...Object.keys(KINDS)) }) },
    { weight: 4, arbitrary: fc.record({ giveUp: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.constant('turn' as const) },
    { weight: 1, arbitrary: fc.constant('microtask' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('cut' as const, 'mend' as const, 'cork' as const, 'uncork' as const)
    }
  ),
  { maxLength: 40 }
)

t.test('after any sequence no unsent call runs, and none runs twice', async t => {
  await fc.assert(
    fc.asyncProperty(steps, async steps => {
      const runs = new Map<number, number>()
      const root: object = expose({
        do: (id: number) => void runs.set(id, (runs.get(id) ?? 0) + 1),
        same: () => root
      })
      await onLine(
        t,
        async line => {
          const { conn } = line
          await begin(line)
          const calls: { stop: AbortController; outcome: Promise<Untyped> }[] = []
          for (const step of steps) {
            if (step === 'turn') await turn()
            else if (step === 'microtask') await undefined
            else if (step === 'cut') {
              line.isDown = true
              line.socket.destroy()
            } else if (step === 'mend') line.isDown = false
            else if (step === 'cork') cork(line)
            else if (step === 'uncork') uncork(line)
            else if ('giveUp' in step) calls[step.giveUp % calls.length]?.stop.abort()
            else {
              const stop = new AbortController()
              const call = KINDS[step.kind]!(Netref.with(conn.root, { signal: stop.signal }), calls.length)
              calls.push({
                stop,
                outcome: call.then(
                  () => 'done',
                  error => error
                ) as Promise<Untyped>
              })
            }
          }
          line.isDown = false
          uncork(line)
          await conn.ping()
          for (const [id, { outcome }] of calls.entries()) {
            const error = await outcome
            const ran = runs.get(id) ?? 0
            if (error === 'done' ? ran !== 1 : ran > Number(error.mayHaveRun))
              throw new Error(`call ${id} ran ${ran} times, and was told ${error} ${error.mayHaveRun}`)
          }
        },
        root
      )
    }),
    { numRuns: RUNS }
  )
})
