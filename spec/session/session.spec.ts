import { execFile } from 'node:child_process'
import { setImmediate as turn } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { reasonForError } from '../../lib/errors.js'
import {
  callSession,
  connect,
  expose,
  Netref,
  pair,
  type Reason,
  Service,
  SessionEndedError,
  serve
} from '../../lib/index.js'
import { formatMessage } from '../../lib/protocol/trace.js'
import { settingsOf } from '../../lib/session/options.js'
import { SessionImpl } from '../../lib/session/session.js'
import { parseCloseReason } from '../../lib/transport/close-reason.js'
import { MemoryTransport } from '../../lib/transport/memory.js'
import { assertClean, CHILD_ENV, overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'

class Peer extends Service {
  calls: unknown[] = []
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_note(item: unknown) {
    this.calls.push(item)
    return this.calls.length
  }
  exposed_notes() {
    return this.calls.splice(0)
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  async exposed_later(value: number) {
    await null
    return value
  }
  exposed_fail(message: string): never {
    throw new RangeError(message)
  }
  async exposed_each(items: number[], use: Netref<(item: number) => void>) {
    for (const item of items) await use(item)
    return items.length
  }
  exposed_size(text: string | Uint8Array) {
    return text.length
  }
  exposed_text(length: number) {
    return 'x'.repeat(length)
  }
  exposed_bytes(length: number) {
    return new Uint8Array(length)
  }
  exposed_open() {
    return expose({ lines: () => expose({ first: () => 'a' }) })
  }
}

for (const over of [overMemory, overSocket]) {
  t.test(`calls and callbacks, ${over.name}`, t =>
    over(t, Peer, async conn => {
      t.equal(await conn.root.add(1, 2), 3)
      const seen: number[] = []
      t.equal(await conn.root.each([1, 2, 3], item => void seen.push(item)), 3)
      t.same(seen, [1, 2, 3])
      t.ok((await conn.ping()) >= 0)
    })
  )

  t.test(`messages with any content are processed in the order they were sent, ${over.name}`, t =>
    over(t, Peer, async conn => {
      const { root } = conn
      const sent = [
        1,
        'two',
        () => 3,
        new Map([[4, new Date(4)]]),
        new Uint8Array([5]),
        { six: expose({}) },
        7
      ]
      const counts = sent.map(item => root.note(item))
      t.same(await Promise.all(counts), [1, 2, 3, 4, 5, 6, 7], 'handlers started in order')
      const back = (await root.notes()) as unknown[]
      t.equal(back[2], sent[2], 'a function sent back is the original function')
      t.same(back[3], sent[3])
    })
  )

  t.test(`a lone call is one frame each way; calls made in one go are at most two, ${over.name}`, t =>
    over(t, Peer, async conn => {
      await conn.root.add(0, 0)
      const lone = conn.stats
      await conn.root.add(1, 2)
      t.equal(conn.stats.framesOut - lone.framesOut, 1)
      t.equal(conn.stats.framesIn - lone.framesIn, 1)
      const bytes = conn.stats.bytesOut - lone.bytesOut + conn.stats.bytesIn - lone.bytesIn
      t.comment(`bytes for one add(1, 2), both ways: ${bytes}`)
      t.ok(bytes <= 60)
      const before = conn.stats
      const sums = await Promise.all(Array.from({ length: 100 }, (_, i) => conn.root.add(i, 1)))
      t.equal(sums[99], 100)
      t.ok(conn.stats.framesOut - before.framesOut <= 2, 'a hundred calls')
      t.ok(
        conn.stats.framesIn - before.framesIn <= 3,
        'a hundred replies; on a busy machine a slice ends between them'
      )
      const again = conn.stats
      await Promise.all(Array.from({ length: 100 }, (_, i) => conn.root.later(i)))
      t.ok(conn.stats.framesIn - again.framesIn <= 4, 'two frames of asynchronous handlers for each')
    })
  )
}

t.test('an ack-only frame is sent if nothing else is, and causes no acknowledgement', t =>
  overMemory(t, Peer, async conn => {
    await conn.root.open()
    const { framesIn, framesOut } = conn.served.stats
    await waitUntil(() => conn.served.stats.framesIn === framesIn + 1)
    t.equal(conn.served.stats.framesOut, framesOut)
  })
)

t.test('a call on a result waits for it, in order, and fails with it', t =>
  overMemory(
    t,
    () => ({
      slow: async () => {
        await null
        return expose({ note: (i: number) => notes.push(i), fail: () => Promise.reject(new Error('no')) })
      },
      bad: async () => {
        await null
        throw new TypeError('bad')
      }
    }),
    async conn => {
      const slow = conn.root.slow()
      const calls = [slow.note(1), slow.note(2), slow.note(3)]
      t.same(await Promise.all(calls), [1, 2, 3])
      t.same(notes, [1, 2, 3])
      const bad = conn.root.bad() as unknown as Record<string, () => PromiseLike<unknown>>
      const error = await rejectionOf(bad.anything!())
      t.ok(error instanceof TypeError)
      t.equal(error.message, 'bad')
      t.match(await rejectionOf(slow.fail()), { message: 'no' })
    }
  )
)
const notes: number[] = []

t.test('calls nest to any depth', t => {
  class Deep extends Service {
    exposed_down(n: number, up: Netref<(n: number) => Promise<number>>): Promise<number> | number {
      return n === 0 ? 0 : up(n - 1)
    }
  }
  return overMemory(t, Deep, async conn => {
    const up = async (n: number): Promise<number> => (n === 0 ? 0 : 1 + (await conn.root.down(n - 1, up)))
    t.equal(await conn.root.down(60, up), 30)
  })
})

t.test('a client may have a service; hooks are called, and their errors are reported', async t => {
  const events: string[] = []
  class Greeter extends Service {
    exposed_greet(name: string) {
      return `hello ${name} from ${callSession() === client?.session}`
    }
    override onConnect() {
      events.push('client begins')
    }
  }
  class Hooked extends Service {
    override async onConnect(session: import('../../lib/index.js').Session) {
      events.push(await (session.root as Netref<Greeter>).greet('server'))
      throw new Error('from onConnect')
    }
    override onDisconnect(_session: unknown, reason: Reason) {
      events.push(`ended: ${reason.code}`)
      throw new Error('from onDisconnect')
    }
    exposed_ready() {
      return true
    }
  }
  const errors: string[] = []
  const onError = (error: unknown) => void errors.push((error as Error).message)
  const client = pair(Hooked, { service: Greeter, serving: { onError } })
  await client.root.ready()
  await waitUntil(() => events.length === 2)
  t.same(events, ['client begins', 'hello server from true'])
  client.served.on('closed', () => {
    throw new Error('from a listener')
  })
  const off = client.served.on('closed', () => t.fail('the listener was removed'))
  off()
  await client.close()
  await client.served.closed
  await waitUntil(() => errors.length === 3)
  t.same(events.slice(2), ['ended: closed'])
  t.same(errors, ['from onConnect', 'from onDisconnect', 'from a listener'])
})

t.test('a failure that no code awaits goes to console.error; onError may fail itself', async t => {
  const printed: string[] = []
  t.capture(console, 'error', (...args: unknown[]) => void printed.push(args.join(' ')))
  class Hooked extends Peer {
    override onConnect() {
      throw new Error('from a hook')
    }
  }
  const quiet = pair(Hooked)
  void quiet.root.fail('unheard')
  await waitUntil(() => printed.length === 2)
  t.same(printed, [
    'netref: Error: from a hook',
    'netref: root.fail("unheard") failed and nobody awaited it: RangeError: unheard'
  ])
  const onError = () => {
    throw new Error('onError is broken')
  }
  const loud = pair(Peer, { onError })
  void loud.root.fail('unheard')
  await waitUntil(() => printed.length === 3)
  t.equal(printed[2], 'netref: onError itself failed: Error: onError is broken')
  await Promise.all([quiet.close(), loud.close()])
})

t.test('a listener that outlives its client is reported once, however often it is called', async t => {
  const events: string[] = []
  const listeners: Netref<(n: number) => void>[] = []
  const service = { exposed_hear: (listener: Netref<(n: number) => void>) => void listeners.push(listener) }
  const client = pair(service, {
    serving: { onError: (error, { call }) => events.push(`${call}: ${error}`) }
  })
  await client.root.hear(() => {})
  await client.close()
  for (let i = 0; i < 3; i++) void listeners[0]!(i)
  const awaited = await rejectionOf(listeners[0]!(3))
  t.match(awaited, { code: 'closed' }, 'a caller that awaits it gets the error each time')
  await new Promise(later => setTimeout(later))
  t.match(events, [/^netref#1\(0\): SessionEndedError: .*the session has ended \(closed\)/])
  t.equal(events.length, 1)
  await assertClean(t, client.session, client.served)
})

t.test('raw messages: a released target is refused, an invalid reply ends the session', async t => {
  const limits = '{"jsonBytes":4096,"frameBytes":4096,"depth":200,"values":10000}'
  const [ours, theirs] = MemoryTransport.pair()
  const frames: string[] = []
  const served = new SessionImpl(theirs, {
    ...settingsOf({}, 'serve'),
    isInitiator: false,
    createRoot: () => new Peer()
  }).start()
  ours.start({ onOpen() {}, onFrame: frame => void frames.push(String(frame)), onClose() {} })
  ours.send(`[0,[[0,1,${limits}],[1,1,0,"open",[]],[13,1,1],[1,2,1,"lines",[]]]]`)
  await waitUntil(() => frames.length > 0)
  t.match(frames[0], '[12,2,"released","#1 was released"]')
  const gone = (served.root as Netref<{ x(): void }>).x()
  ours.send('[1,[[12,1,"released","#7 was released"]]]')
  t.match(await rejectionOf(gone), {
    name: 'ReleasedError',
    code: 'released',
    message: 'root.x(): #7 was released'
  })
  const asked = (served.root as Netref<{ x(): void }>).x()
  ours.send('[1,[[10,2,5,[["nothing known",[]]]]]]')
  t.match(await rejectionOf(asked), {
    code: 'protocol',
    message: /it received the unknown type tag "nothing known"/
  })
  t.match(await served.closed, { code: 'protocol' })
})

t.test(
  'a session that ends while it begins leaves nothing, and hooks come in order or not at all',
  async t => {
    const events: string[] = []
    class Hooked extends Service {
      override onConnect() {
        events.push('connect')
      }
      override onDisconnect() {
        events.push('disconnect')
      }
      exposed_chain(session: unknown) {
        return expose({ bye: () => void conn.served.close(), a: () => events.push('a'), session })
      }
    }
    const closing = await serve(
      session => {
        void session.close()
        return new Hooked()
      },
      { port: 0 }
    )
    t.match(await connect(closing.url).closed, { code: 'closed' })
    t.equal(closing.sessions.size, 0)
    closing.on('session', () => t.fail('the session never began'))
    await closing.close()

    const refusing = await serve(Hooked, { port: 0 })
    refusing.on('session', session => void session.close())
    t.match(await connect(refusing.url).closed, { code: 'closed' })
    await refusing.close()
    t.same(events, [], 'without onConnect a service gets no onDisconnect')

    const conn = pair(Hooked)
    const chain = conn.root.chain(1)
    const calls = [chain.bye(), chain.a(), chain.a()].map(call => rejectionOf(call as PromiseLike<unknown>))
    await Promise.all(calls)
    t.same(events, ['connect', 'disconnect'], 'waiting messages are not processed after the end')
  }
)

t.test('an accessor of an argument that ends the session rejects its own call', async t => {
  const conn = pair(Peer)
  await conn.ping()
  const odd = {
    a: () => 1,
    get b() {
      void conn.close()
      return 2
    },
    *c() {},
    d: [1].values()
  }
  t.match(await rejectionOf(conn.root.note(odd)), { code: 'closed' })
  t.match(conn.stats, { exports: 0, imports: 0, pending: 0 })
})

t.test('an error of any form arrives', t =>
  overMemory(
    t,
    {
      fail() {
        const error = Object.assign(new RangeError('as it was'), { extra: 1 })
        for (const key of ['detail', 'cause']) {
          Object.defineProperty(error, key, {
            enumerable: true,
            get: () => {
              throw new Error('from a getter')
            }
          })
        }
        throw error
      },
      odd() {
        throw Object.assign(new Error('x'), { message: Object.create(null) })
      }
    },
    async conn => {
      const error = await rejectionOf(conn.root.fail())
      t.match(error, { name: 'RangeError', message: 'as it was', extra: 1, omitted: ['cause', 'detail'] })
      t.match(await rejectionOf(conn.root.odd()), { name: 'Error', message: '' })
    }
  )
)

t.test('close() reports no calls that it cut off; a listener added twice is called twice', async t => {
  const errors: unknown[] = []
  const conn = pair(Peer, { onError: error => errors.push(error) })
  await conn.ping()
  void conn.root.never()
  const events: Reason[] = []
  const listener = (reason: Reason) => events.push(reason)
  const off = conn.on('closed', listener)
  conn.on('closed', listener)
  off()
  await conn.close()
  await turn()
  await turn()
  t.same(errors, [])
  t.equal(events.length, 1)
})

t.test('the end of a session: every pending call on both ends rejects with the reason', async t => {
  const conn = pair(Peer, { service: Peer })
  await conn.root.add(1, 1)
  const out = [conn.root.never(), conn.root.never(), conn.root.open().lines().first()]
  const back = (conn.served.root as Netref<Peer>).never()
  const closing = conn.close()
  for (const call of out) {
    const error = await rejectionOf(call as PromiseLike<unknown>)
    t.ok(error instanceof SessionEndedError)
    t.match(error, { code: 'closed', reason: { code: 'closed' } })
    t.match(
      error.message,
      /^root\.(never|open)\(\).*: the session has ended \(closed\): close\(\) was called$/
    )
  }
  t.match(await rejectionOf(back), { code: 'closed', message: /the other end ended the session/ })
  await closing
  t.match(await conn.closed, { code: 'closed', message: 'close() was called' })
  t.match(await conn.served.closed, { code: 'closed' })
  const late = await rejectionOf(conn.root.add(1, 2))
  t.equal(late.message, 'root.add(1, 2): the session has ended (closed): close() was called')
  t.match(await rejectionOf(conn.ping()), { code: 'closed', message: /^ping\(\): / })
  await conn.close()
  t.same([conn.stats.exports, conn.stats.imports, conn.stats.pending], [0, 0, 0])
  t.same([conn.served.stats.exports, conn.served.stats.imports, conn.served.stats.pending], [0, 0, 0])
})

t.test('a result after the end of the session is ignored', async t => {
  let go: (value: unknown) => void = () => {}
  let stop: (error: unknown) => void = () => {}
  const conn = pair({
    wait: () => new Promise(resolve => (go = resolve)),
    fail: () => new Promise((_, reject) => (stop = reject))
  })
  void conn.root.wait().catch(() => {})
  void conn.root.fail().catch(() => {})
  await conn.ping()
  await conn.close()
  await conn.served.closed
  go(expose({}))
  stop(new Error('too late'))
  await null
  t.equal(conn.served.stats.exports, 0)
})

t.test('a failing service constructor ends the session, and only the server gets the error', async t => {
  const errors: unknown[] = []
  const failing = () => {
    throw new Error('no database')
  }
  const conn = pair<Peer>(failing as never, { serving: { onError: error => void errors.push(error) } })
  const error = await rejectionOf(conn.root.add(1, 2))
  t.match(error, { code: 'service-failed' })
  t.notMatch(error.message, /database/)
  t.match(await conn.served.closed, { code: 'service-failed', cause: { message: 'no database' } })
  t.match(errors, [{ message: 'no database' }])
})

t.test('limits: a value too large for the other side rejects only its call, and releases its references', t =>
  overMemory(
    t,
    Peer,
    async conn => {
      await conn.ping()
      const error = await rejectionOf(conn.root.size('x'.repeat(70_000)))
      t.match(error, { code: 'limit', name: 'LimitError' })
      t.match(
        error.message,
        /^root\.size\("x{20}…"\): 70\d\d\d characters of JSON are more than .*jsonBytes: 65536.*: send it in/
      )
      t.match(await rejectionOf(conn.root.size(new Uint8Array(200_000))), { message: /frameBytes: 131072/ })
      t.match(await rejectionOf(conn.root.note([() => 1, 'x'.repeat(70_000)])), { code: 'limit' })
      t.equal(conn.stats.exports, 0)
      t.match(await rejectionOf(conn.root.text(5 << 20)), {
        code: 'limit',
        message: /^root\.text\(\d+\): .*jsonBytes/
      })
      t.match(await rejectionOf(conn.root.bytes(17 << 20)), { code: 'limit', message: /frameBytes/ })
      const parts = Array.from({ length: 20 }, () => conn.root.size('y'.repeat(10_000)))
      t.same(new Set(await Promise.all(parts)), new Set([10_000]), 'many that fit are sent in several frames')
      const ranges = Array.from({ length: 20 }, () => conn.root.size(new Uint8Array(20_000)))
      t.same(new Set(await Promise.all(ranges)), new Set([20_000]))
      t.equal(await conn.root.size('é'.repeat(100)), 100)
    },
    { serving: { limits: { jsonBytes: 65_536, frameBytes: 131_072 } } }
  )
)

t.test('many releases are sent in messages that fit', t =>
  overMemory(
    t,
    () => ({ make: (n: number) => Array.from({ length: n }, () => expose({})) }),
    async conn => {
      const made = [await conn.root.make(10_000), await conn.root.make(10_000)]
      const refs = made.flat() as unknown as Netref<object>[]
      t.equal(conn.stats.imports, 20_000)
      for (const ref of refs) Netref.release(ref)
      t.equal(conn.stats.imports, 0)
      await conn.ping()
      t.equal(conn.served.stats.exports, 0)
    },
    { serving: { limits: { jsonBytes: 4096 } } }
  )
)

t.test('invalid options throw and are named', t => {
  t.throws(() => pair(Peer, { limits: { depth: 0 } }), /limits\.depth: 0 is not a positive whole number/)
  t.throws(() => pair(Peer, { limits: { width: 1 } as object }), /limits\.width: there is no such limit/)
  t.throws(
    () => pair(Peer, { limits: { sessionPerAddress: 1 } as object }),
    /limits\.sessionPerAddress: there is no such limit: did you mean `sessionsPerAddress`\?$/
  )
  t.throws(
    () => pair(Peer, { limits: { depth: '10' } as object }),
    /limits\.depth: "10" is not a positive whole number/
  )
  t.throws(() => pair(Peer, { limits: { valueOf: 1 } as object }), /limits\.valueOf: there is no such limit/)
  t.throws(() => pair(Peer, { limits: { jsonBytes: 100 } }), /limits\.jsonBytes: 100 is less than 4096/)
  t.throws(() => pair(Peer, { limits: { callsPerSecond: Number.NaN } }), /callsPerSecond: NaN/)
  t.throws(() => pair(Peer, { exposedPrefix: '' }), /exposedPrefix/)
  t.doesNotThrow(() =>
    pair(Peer, { limits: { depth: undefined, callsPerSecond: Infinity } as object }).close()
  )
  t.doesNotThrow(() => pair(Peer, { exposedPrefix: undefined }).close())
  t.end()
})

t.test('frames can be held and released; pending calls then settle in order', t =>
  overMemory(t, Peer, async conn => {
    const [client] = conn.transports
    await conn.ping()
    await turn()
    client.hold()
    const settled: number[] = []
    const call = async (i: number) => settled.push(await conn.root.add(i, 0))
    const first = call(1)
    await turn()
    const calls = [first, call(2), call(3)]
    await waitUntil(() => client.held === 2)
    t.equal(conn.stats.pending, 3)
    client.letGo(1)
    await waitUntil(() => settled.length === 1)
    client.letGo()
    await Promise.all(calls)
    t.same(settled, [1, 2, 3])
  })
)

t.test('NETREF_DEBUG=1 prints each message as one readable line', async t => {
  const program = `
    import { pair, expose } from ${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)}
    const conn = pair({ add: (a, b) => a + b, open: () => expose({ size: 3 }), long: () => 'x'.repeat(500) })
    await conn.root.add(1, 2)
    await (await conn.root.open()).size
    await conn.root.open().size
    await conn.root.long()
    await conn.close()`
  const env = { ...CHILD_ENV, NETREF_DEBUG: '1' }
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program]
  const { stderr } = await promisify(execFile)(process.execPath, args, { env })
  const lines = stderr.trim().split('\n')
  for (const line of [
    'netref → hello 1 {"jsonBytes":4194304,"frameBytes":16777216,"depth":200,"values":10000,"leaving":1}',
    'netref → call 1 root.add [1,2]',
    'netref ← call 1 root.add [1,2]',
    'netref → result 1 3',
    'netref → get 3 #1.size',
    'netref → get 5 answer-4.size'
  ]) {
    t.ok(lines.includes(line), line)
  }
  t.ok(lines.every(line => line.startsWith('netref ') && line.length <= 210))

  process.env.NETREF_DEBUG = '1'
  const said = t.capture(console, 'error', () => {})
  await overMemory(t, Peer, async conn => {
    await conn.root.text(500)
  })
  delete process.env.NETREF_DEBUG
  const told = said().map(({ args }) => String(args[0]))
  t.ok(told.includes('netref → call 1 root.text [500]'))
  t.ok(told.some(line => line.startsWith('netref ← result 1 "xxx') && line.length === 206))
  t.equal(formatMessage([1, 7, -6, ['a', ['for', 'b']], []]), 'call 7 answer-6.a[Symbol(b)] []')
  t.equal(formatMessage([4, 8, 3, 'x', 1]), 'set 8 #3.x 1')
  t.equal(formatMessage([14, 0, 0, 'log', ['x']]), 'oneway 0 root.log ["x"]')
  t.equal(formatMessage([15, 9, 3, []]), 'obtain 9 #3')
  t.equal(formatMessage([16, 9, -8, ['a', 'b']]), 'iterate 9 answer-8.a.b')
  t.equal(formatMessage([17, 9, 3, 'next', null]), 'streamCall 9 #3.next null')
  t.equal(formatMessage([18, 9, 'why']), 'cancel 9 "why"')
  t.equal(formatMessage([19, 3, 0, 1024]), 'pull 3 0 1024')
  t.equal(formatMessage([20, 3, 1, ['a', 'b']]), 'items 3 1 ["a","b"]')
  t.equal(formatMessage([21, 3, 0, ['E'], [['e', []]]]), 'ended 3 0 ["E"] [["e",[]]]')
  t.equal(formatMessage([30, '00-7-7-01', 1, 7, 0, 'add', [1]]), 'call 7 root.add [1] in 00-7-7-01')
  t.equal(formatMessage([99, 1]), 'op 99 1')
  t.equal(formatMessage({ not: 'a message' }), '{"not":"a message"}')
})

t.test('an internal error of netref ends the session', t => {
  const cause = new Error('never seen')
  t.same(reasonForError(cause), { code: 'internal', message: 'an internal error of netref', cause })
  t.end()
})

t.test('trace receives each message, and tables list their entries', async t => {
  const events: string[] = []
  const failed: unknown[] = []
  const service = { keep: (callback: unknown) => void kept.push(callback), lend: () => () => 1 }
  const kept: unknown[] = []
  const conn = pair(service, {
    trace: (direction, line) => void events.push(`${direction} ${line}`),
    serving: {
      trace: () => {
        throw new Error('it fails')
      },
      onError: error => failed.push(error)
    }
  })
  const own = () => {}
  await conn.root.keep(own)
  const lent = await conn.root.lend()
  for (const line of ['→ call 1 root.keep [[1,"own"]] [["f",[0]]]', '← result 1', '→ call 2 root.lend []']) {
    t.ok(events.includes(line), line)
  }
  t.equal(events.length, 6, 'two hellos, two calls, two results')
  t.equal(failed.length, events.length, 'a failure of trace is reported, and has no other effect')
  const { exports, imports } = conn.session.tables
  t.match([exports.length, exports[0]], [1, { id: 1, refCount: 1 }])
  t.equal(exports[0]!.object, own)
  t.match([imports.length, imports[0]], [1, { id: 1, refCount: 1 }])
  t.equal(imports[0]!.object, lent)
  await conn.close()
})

t.test('a close reason of the peer is not an internal error', async t => {
  t.match(parseCloseReason('internal: a fault in netref itself', 'it'), {
    code: 'peer-failed',
    message: 'it ended the session: a fault in netref itself'
  })
  t.equal(parseCloseReason('constructor: x', 'it'), undefined)
})
