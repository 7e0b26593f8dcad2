import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocket } from 'ws'
import { estimateAnnotations, estimateJson, estimateMessages } from '../../lib/codec/memory-estimate.js'
import { callSignal, connect, expose, Netref, pair, type Reason, Service, serve } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { implOf, overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { PING, RawPeer, TEXT, webSocketFrame } from '../support/raw-peer.js'

class Store extends Service {
  held: unknown[] = []
  exposed_make(count: number) {
    return Array.from({ length: count }, () => expose({ use: () => true }))
  }
  exposed_keep(...items: unknown[]) {
    this.held.push(...items)
    return this.held.length
  }
  exposed_drop() {
    this.held = []
  }
  async exposed_count(items: AsyncIterable<unknown>) {
    let count = 0
    for await (const _ of items) count++
    return count
  }
  exposed_fail(fields: number): void {
    throw Object.assign(
      new Error('with fields'),
      ...Array.from({ length: fields }, (_, i) => ({ [`f${i}`]: i }))
    )
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_text(length: number) {
    return 'x'.repeat(length)
  }
  exposed_double(value: bigint) {
    return value * 2n
  }
}

t.test('exports: a call that would exceed the limit rejects and exports nothing', t =>
  overMemory(
    t,
    Store,
    async conn => {
      const refs = (await conn.root.make(10)) as unknown as Netref<object>[]
      const error = await rejectionOf(conn.root.make(1))
      t.match(error, { name: 'LimitError', code: 'limit' })
      t.match(
        error.message,
        /^root\.make\(1\): 10 references are held already \(limits\.exports of their owner\): release some/
      )
      t.equal(conn.served.stats.exports, 10)
      for (const ref of refs) Netref.release(ref)
      t.equal((await conn.root.make(5)).length, 5, 'after releases more are accepted')
    },
    { serving: { limits: { exports: 10 } } }
  )
)

t.test('depth: a path with too many names rejects, also a circular one', t =>
  overMemory(
    t,
    class extends Service {
      exposed_round() {
        const round: { on?: object } = {}
        round.on = round
        return round
      }
    },
    async conn => {
      const steps = (count: number) =>
        // biome-ignore lint/suspicious/noExplicitAny: the path is as long as it is.
        Array.from({ length: count }).reduce((path: any) => path.on, conn.root.round())
      t.equal(typeof (await steps(20)), 'object')
      const error = await rejectionOf(steps(21) as PromiseLike<unknown>)
      t.match(error, { name: 'LimitError', code: 'limit' })
      t.match(error.message, /a path of more than 20 names \(limits\.depth\): await a part of it first$/)
    },
    { serving: { limits: { depth: 20 } } }
  )
)

/** Values of a kind that is not plain JSON. */
const some = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))
const members = (count: number) => some(count, i => i)

t.test('values: a call with too many rejects locally and exports nothing', t =>
  overMemory(
    t,
    Store,
    async conn => {
      await conn.ping()
      const { keep } = conn.root
      const tooMany: Record<string, unknown[]> = {
        functions: some(11, i => () => i),
        'Dates, half': [some(21, i => new Date(i))],
        'a Map and its entries': [new Map(members(20).map(i => [i, i]))],
        'a Set and its members': [[new Set(members(10))], new Set(members(8))],
        'Errors and what they say': [
          [new Error('a'), new Error('b')],
          Object.assign(new Error('c'), { a: 1, b: 2 })
        ],
        bytes: some(11, () => new Uint8Array(1)),
        'promises and iterators, twice': [...some(3, () => Promise.resolve()), ...some(3, () => [].values())],
        'a signal, twelve times': [new AbortController().signal],
        'a stream, twelve times': [new ReadableStream()],
        'a stream to write, twelve times': [new WritableStream()]
      }
      for (const [what, args] of Object.entries(tooMany)) {
        const error = await rejectionOf(keep(...args))
        t.match(error, { name: 'LimitError', code: 'limit' }, what)
        t.match(
          error.message,
          /^root\.keep\(.*\): the message has 1[1-5] values that are not plain JSON, more than the receiver accepts \(its limits\.values: 10\): send them in parts or as an iterator, or raise the limit there$/
        )
      }
      t.equal(conn.stats.exports, 0)
      t.equal(await keep(...some(10, i => () => i)), 10, 'as many as the limit allows')
      const half = { fine: 1n, not: Symbol('stays home') }
      const error = Object.assign(new Error('what stays home does not count'), { a: half, b: half, c: half })
      t.equal(await keep(new Set(members(8)), error, members(100_000)), 13)
      t.equal(
        await conn.root.count(some(30, i => new Date(i)).values()),
        30,
        'each item of an iterator may have as many'
      )
      const items = [[1], some(21, i => new Date(i))].values()
      t.match(await rejectionOf(conn.root.count(items)), { code: 'limit', message: /limits\.values: 10/ })
      await conn.root.drop()
    },
    { serving: { limits: { values: 10 } } }
  )
)

t.test('values: a result or an error with too many rejects', t =>
  overMemory(
    t,
    Store,
    async conn => {
      t.equal((await conn.root.make(10)).length, 10)
      const error = await rejectionOf(conn.root.make(11))
      t.match(error, { name: 'LimitError', code: 'limit' })
      t.match(error.message, /^root\.make\(11\): the message has 11 values that are not .*limits\.values: 10/)
      t.match(await rejectionOf(conn.root.fail(10)), { code: 'limit', message: /limits\.values: 10/ })
      t.match(await rejectionOf(conn.root.fail(2)), { message: 'with fields', f0: 0, f1: 1 })
    },
    { limits: { values: 10 } }
  )
)

t.test('values: a peer that ignores the announced limit loses the session', async t => {
  await using server = await serve(Store, { port: 0, limits: { values: 10 } })
  const error = `{"class":"Error","name":"","message":"","fields":[${members(8).map(i => `"${i}",0`)}]}`
  const tooMany = {
    references: call(
      `[${members(11).map(i => `[${i + 1},""]`)}]`,
      `["o",${members(11).map(i => `[0,${i}]`)}]`
    ),
    'one place over and over': call('0', `["undefined",${members(21).map(() => '[0]')}]`),
    'members of a Set': call(`[${members(20)}]`, '["s",[0]]'),
    'entries of a Map': call(`[${members(20).map(i => `[${i},0]`)}]`, '["m",[0]]'),
    'fields of an Error': call(error, '["e",[0]]'),
    ranges: binary(`[0,[[1,1,0,"keep",[]]],[[0${',8'.repeat(11)}]]]`, 88)
  }
  for (const [what, frame] of Object.entries(tooMany)) {
    const socket = new WebSocket(server.url)
    await once(socket, 'open')
    socket.send('[0,[[0,1,{"jsonBytes":4096,"frameBytes":4096,"depth":9,"values":9}]]]')
    socket.send(frame)
    const [code, text] = (await once(socket, 'close')) as [number, Buffer]
    t.equal(code, 1009, what)
    t.match(
      String(text),
      /^limit: it received a message with more than 10 values that are not plain JSON \(limits\.values\)/
    )
  }
})

const call = (args: string, group: string) => `[0,[[1,1,0,"keep",[${args}],[${group}]]]]`
const binary = (json: string, bytes: number) => {
  const header = Buffer.alloc(8)
  header.writeUInt32BE(json.length)
  return Buffer.concat([header, Buffer.from(json), Buffer.alloc((-json.length & 7) + bytes)])
}

t.test('an iterator fails if far more items arrive than were requested', async t => {
  await using server = await serve(Store, { port: 0 })
  const socket = new WebSocket(server.url)
  const said: unknown[][] = []
  socket.on('message', data => said.push(...(JSON.parse(String(data))[1] ?? [])))
  await once(socket, 'open')
  const hello = '[0,1,{"jsonBytes":4096,"frameBytes":4096,"depth":9,"values":9}]'
  socket.send(`[0,[${hello},[1,1,0,"count",[[1,"iterator"]],[["i",[0]]]]]]`)
  await waitUntil(() => said.some(([op]) => op === Op.pull))
  socket.send(`[0,[[20,1,0,[${members(2000)}]]]]`)
  socket.send(`[0,[[20,1,0,[${members(3000)}]],[20,1,0,[1]],[21,1,1]]]`)
  await waitUntil(() => said.some(([op]) => op === Op.error))
  const [, , error, groups] = said.find(([op]) => op === Op.error)!
  t.match(error, { class: 'LimitError', message: /^iterator#1: far more items arrived than were requested$/ })
  t.ok(groups)
  const [session] = server.sessions
  t.equal(session!.stats.buffered, 0)
  socket.close()
  await once(socket, 'close')
})

t.test('exports: own arguments count', t =>
  overMemory(
    t,
    Store,
    async conn => {
      t.match(
        await rejectionOf(
          conn.root.keep(
            () => 1,
            () => 2,
            () => 3
          )
        ),
        { code: 'limit', message: /^root\.keep\(/ }
      )
      t.equal(conn.stats.exports, 0)
      t.equal(
        await conn.root.keep(
          () => 1,
          () => 2
        ),
        2
      )
      await conn.root.drop()
    },
    { limits: { exports: 2 } }
  )
)

t.test('imports: a call that would exceed the limit rejects and its references are released', t =>
  overMemory(
    t,
    Store,
    async conn => {
      t.equal(
        await conn.root.keep(
          () => 1,
          () => 2
        ),
        2
      )
      const error = await rejectionOf(
        conn.root.keep(
          () => 3,
          () => 4
        )
      )
      t.match(error, {
        code: 'limit',
        message: /^root\.keep\(ƒ, ƒ\): 2 netrefs are held \(limits\.imports\)/
      })
      await conn.ping()
      t.equal(conn.stats.exports, 2, 'references that were not accepted are released')
      await conn.root.drop()
    },
    { serving: { limits: { imports: 2 } } }
  )
)

t.test('imports: a result that would exceed the limit rejects locally', t =>
  overMemory(
    t,
    Store,
    async conn => {
      t.match(await rejectionOf(conn.root.make(3)), {
        code: 'limit',
        message: /^root\.make\(3\): 2 netrefs are held/
      })
      await waitUntil(() => conn.served.stats.exports === 0 || conn.stats.imports === 0)
    },
    { limits: { imports: 2 } }
  )
)

t.test('pendingCalls: one call too many rejects, and running ones continue', async t => {
  const conn = pair(Store, { serving: { limits: { pendingCalls: 3 } } })
  const waiting = [1, 2, 3].map(() => rejectionOf(conn.root.never()))
  const error = await rejectionOf(conn.root.never())
  t.match(error, { code: 'limit' })
  t.match(error.message, /^root\.never\(\): 3 calls are pending \(limits\.pendingCalls\)/)
  t.equal(conn.stats.pending, 3)
  await conn.close()
  for (const error of await Promise.all(waiting)) t.match(error, { code: 'closed' })
})

t.test('callsPerSecond: one call too many rejects', t =>
  overMemory(
    t,
    Store,
    async conn => {
      const calls = Array.from({ length: 8 }, (_, i) =>
        conn.root.add(i, 0).catch((error: Error) => error.message)
      )
      const results = await Promise.all(calls)
      t.same(results.slice(0, 5), [0, 1, 2, 3, 4])
      t.match(results[7], /more than 5 calls in a second \(limits\.callsPerSecond\)/)
      let sum = 0
      while (sum === 0) sum = await conn.root.add(1, 1).catch(() => 0)
      t.equal(sum, 2, 'calls are accepted again later')
      while ((await conn.ping().catch(() => -1)) < 0);
    },
    { serving: { limits: { callsPerSecond: 5 } } }
  )
)

t.test('bigintDigits: a longer bigint rejects its call', t =>
  overMemory(
    t,
    Store,
    async conn => {
      t.equal(await conn.root.double(21n), 42n)
      const error = await rejectionOf(conn.root.double(10n ** 30n))
      t.match(error, {
        code: 'limit',
        message: /a bigint has more than 20 digits \(limits\.bigintDigits\): send it as text/
      })
    },
    { serving: { limits: { bigintDigits: 20 } } }
  )
)

t.test('sessions: one client too many gets 503, and is accepted when another has gone', t =>
  overSocket(
    t,
    Store,
    async (conn, server) => {
      t.equal(await conn.root.add(1, 2), 3)
      const second = connect<Store>(server.url)
      t.match(await second.closed, { code: 'unreachable', message: /503/ })
      await conn.ping()
    },
    { server: { limits: { sessions: 1 } } }
  )
)

t.test('helloMs: a silent socket is closed and never becomes a session', async t => {
  await using server = await serve(Store, { port: 0, limits: { helloMs: 50 } })
  const socket = new WebSocket(server.url)
  const [code, text] = (await once(socket, 'close')) as [number, Buffer]
  t.equal(code, 1009)
  t.match(String(text), 'limit: no hello was received within 50 ms')
  t.equal(server.sessions.size, 0)
})

t.test('bufferedBytes: calls of a peer that does not read wait, and are answered when it does', t =>
  overMemory(
    t,
    Store,
    async conn => {
      const [, server] = conn.transports
      await conn.ping()
      server.hold()
      const calls = Array.from({ length: 40 }, (_, i) => conn.root.text(200_000 + i))
      await waitUntil(() => implOf(conn.served).link.receiver.isBackpressured)
      const before = conn.served.stats
      const more = Array.from({ length: 40 }, (_, i) => conn.root.text(300_000 + i))
      await waitUntil(() => conn.served.stats.framesIn > before.framesIn)
      t.equal(conn.served.stats.callsIn, before.callsIn, 'no more calls are processed')
      t.ok(server.bufferedAmount < 4 << 20, 'the bytes that wait for the peer are limited')
      server.letGo()
      const texts = await Promise.all([...calls, ...more])
      t.same(
        texts.map(text => text.length),
        [...calls.map((_, i) => 200_000 + i), ...more.map((_, i) => 300_000 + i)]
      )
    },
    { serving: { limits: { bufferedBytes: 1 << 20 } } }
  )
)

t.test('pauseMs: a peer that keeps not reading loses its session, on both ends', async t => {
  const conn = pair(Store, { serving: { limits: { bufferedBytes: 1 << 16, pauseMs: 50 } } })
  const [, server] = conn.transports
  await conn.ping()
  server.hold()
  const calls = Array.from({ length: 30 }, () => rejectionOf(conn.root.text(100_000)))
  t.match(await conn.served.closed, {
    code: 'peer-not-reading',
    message: /has not read or acknowledged anything for 50 ms/
  })
  server.letGo()
  for (const error of await Promise.all(calls)) t.match(String(error), /peer-not-reading|it resolved/)
  t.match(await conn.closed, { code: 'peer-not-reading' })
})

t.test('a client that calls and never reads neither grows the server nor slows others', async t => {
  const web = http.createServer().listen(0, '127.0.0.1')
  await once(web, 'listening')
  const server = await serve(Store, { server: web, limits: { bufferedBytes: 1 << 20, pauseMs: 60_000 } })
  const url = `ws://127.0.0.1:${(web.address() as AddressInfo).port}`
  const greedy = new WebSocket(url)
  await once(greedy, 'open')
  const reasons: Reason[] = []
  server.on('session', session => void session.closed.then(reason => reasons.push(reason)))
  greedy.pause()
  greedy.send('[0,[[0,1,{"jsonBytes":4194304,"frameBytes":16777216,"depth":200,"values":10000}]]]')
  for (let i = 1; i <= 400; i++) greedy.send(`[0,[[1,${i},0,"text",[1000000]]]]`)
  await waitUntil(() => server.sessions.size === 1)
  const [session] = server.sessions
  await waitUntil(() => session!.stats.bytesOut > 1 << 20)
  const good = connect<Store>(url)
  for (let i = 0; i < 200; i++) t.equal(await good.root.add(i, 1), i + 1)
  t.ok(session!.stats.bytesOut < 20 << 20, `of 400 MB requested, ${session!.stats.bytesOut} bytes were sent`)
  const { bytesOut } = session!.stats
  greedy.resume()
  let read = 0
  let frames = 0
  greedy.on('message', (data: Buffer) => {
    read += data.length
    if (data.length > 10) greedy.send(`[${++frames}]`)
    if (read > 400e6) greedy.close()
  })
  await waitUntil(() => session!.stats.bytesOut > bytesOut)
  await once(greedy, 'close')
  t.ok(read > 400e6, 'when it reads, it gets all of it')
  await good.close()
  await server.close()
  web.close()
  t.equal(server.sessions.size, 0)
  t.equal(reasons.length, 2)
})

t.test('regExpLength: longer RegExps in a message reject the call; the default allows none', async t => {
  const take = (...values: unknown[]) => values.map(String)
  await overMemory(t, { take, give: () => /a/ }, async ({ root }) => {
    for (const called of [root.take(/a/), root.take('x', [{ deep: /(a+)+$/ }]), root.give()]) {
      t.match(await rejectionOf(called), {
        code: 'limit',
        message:
          /the RegExps have more than 0 characters \(limits\.regExpLength\): send the source as a string/
      })
    }
    t.same(await root.take('/a/'), ['/a/'])
  })
  const limits = { regExpLength: 20 }
  await overMemory(
    t,
    { take, give: () => [/a/g, /\//iu] },
    async ({ root }) => {
      t.same(await root.take(/012345/g, /0123456/iu), ['/012345/g', '/0123456/iu'])
      t.same(await root.give(), [/a/g, /\//iu])
      const flag = 'v'
      const unicodeSets = new RegExp('a', flag)
      const tooLong = [[/0123456789/, /01234567/], [/0123456789012345678/], [unicodeSets]]
      for (const values of tooLong) t.match(await rejectionOf(root.take(...values)), { code: 'limit' })
      t.match(await rejectionOf(root.take(unicodeSets)), { message: /a RegExp has the flag `v`/ })
    },
    { limits, serving: { limits } }
  )
  t.throws(() => pair({}, { limits: { regExpLength: -1 } }), { message: /regExpLength: -1 is not a whole/ })
})

t.test('texts that take long to parse reject the call: a Date, a URL', t =>
  overMemory(t, { take: (_value: unknown) => 'taken' }, async conn => {
    const { take } = conn.root
    for (const cheap of [new URL('http://xn--mnchen-3ya.de'), new Date(0)])
      t.equal(await take(cheap), 'taken')
    const long = new Date(0)
    long.toISOString = () => '1970-01-01T00:00:00.000Z'.padEnd(100)
    t.match(await rejectionOf(take(long)), { code: /limit|unsendable/ })
  })
)

const SMALL = { bufferedBytes: 1 << 16, jsonBytes: 1 << 16, frameBytes: 1 << 16 }

t.test('frames that arrive while paused, as in a page, have a limit', async t => {
  const conn = pair(Store, { serving: { limits: SMALL } })
  const [ours, its] = conn.transports
  await conn.ping()
  its.pause = () => {}
  its.hold()
  const calls = Array.from({ length: 5 }, () => rejectionOf(conn.root.text(60_000)))
  await waitUntil(() => implOf(conn.served).link.receiver.isPostponed)
  // The error says that no replies were received.
  for (let i = 0; i < 40; i++) ours.send(`[1,[[1,${7 + i},0,"keep",["${'x'.repeat(60_000)}"]]]]`)
  t.match(await conn.served.closed, {
    code: 'limit',
    message: /bytes of frames, which this side could not process yet/
  })
  its.letGo()
  await Promise.all(calls)
  t.match(await conn.closed, { code: 'limit' })
})

t.test('a peer that reads but never acknowledges gets no more answers, then loses its session', async t => {
  const server = await serve(Store, { port: 0, limits: { bufferedBytes: 1 << 20, pauseMs: 100 } })
  const peer = await RawPeer.open(server.url, { acknowledges: false, recordsMessages: false })
  await peer.ping()
  const [session] = server.sessions
  const ended = new Promise<Reason>(resolve => session!.on('closed', resolve))
  for (let i = 0; i < 40; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'text', [100_000]]])
  t.match(await ended, {
    code: 'peer-not-reading',
    message: /not read or acknowledged anything for 100 ms/
  })
  t.ok(peer.bytesReceived < 1.3 * 2 ** 20, `${peer.bytesReceived} bytes were kept for it`)
  t.match((await peer.closed).reason, /^peer-not-reading/)
  await server.close()
})

t.test('a peer that acknowledges one by one gets all answers', async t => {
  await using server = await serve(Store, { port: 0, limits: { bufferedBytes: 1 << 18, pauseMs: 300 } })
  const peer = await RawPeer.open(server.url, { recordsMessages: false })
  const texts = 40
  const last = peer.reply(texts)
  for (let i = 0; i < texts; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'text', [100_000]]])
  await last
  t.ok(peer.bytesReceived > texts * 100_000)
  await peer.end()
})

t.test('late answers are refused at twice the limit', async t => {
  const answers: ((text: string) => void)[] = []
  const later = { later: () => new Promise<string>(resolve => answers.push(resolve)) }
  await using server = await serve(later, { port: 0, limits: { bufferedBytes: 1 << 18 } })
  const peer = await RawPeer.open(server.url, { acknowledges: false })
  for (let i = 0; i < 20; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'later', []]])
  await waitUntil(() => answers.length === 20)
  for (const answer of answers) answer('x'.repeat(100_000))
  t.match(await peer.reply(20), [
    Op.refused,
    20,
    'limit',
    /^the caller has not read earlier replies \(limits\.bufferedBytes of the other side: /
  ])
  t.ok(peer.bytesReceived < 3 * 2 ** 18, `${peer.bytesReceived} bytes were kept for it`)
  t.equal(peer.messages.filter(([op]) => op === Op.refused).length, 14)
  await peer.end()
})

t.test('a peer that requests acknowledgements and pongs without reading builds no queue', async t => {
  await using server = await serve(Store, { port: 0 })
  const peer = await RawPeer.open(server.url)
  await peer.ping()
  peer.pause()
  const [session] = server.sessions
  // The system's own buffers may hold some MiB of them.
  const ask = Buffer.concat(Array.from({ length: 4000 }, () => webSocketFrame(TEXT, '[1,1]')))
  const ping = Buffer.concat(Array.from({ length: 1000 }, () => webSocketFrame(PING, 'x'.repeat(100))))
  for (let i = 0; i < 50; i++) {
    peer.write(i % 2 ? ask : ping)
    await peer.drained()
  }
  const { bytesIn } = session!.stats
  t.ok(
    implOf(session!).link.pendingWriteBytes < 1 << 16,
    `${implOf(session!).link.pendingWriteBytes} bytes of them wait`
  )
  t.ok(bytesIn > 0)
  peer.resume()
  await peer.end()
})

t.test('calls to a peer that does not read reject, and its session ends', async t => {
  let callback: Netref<(text: string) => void> | undefined
  const service = { subscribe: (listener: Netref<(text: string) => void>) => void (callback = listener) }
  const failed: unknown[] = []
  const server = await serve(service, {
    port: 0,
    limits: { bufferedBytes: 1 << 20, pauseMs: 100 },
    onError: error => void failed.push(error)
  })
  const peer = await RawPeer.open(server.url, { acknowledges: false, recordsMessages: false })
  await peer.ask(Op.call, 0, 'subscribe', [[1, 'listen']], [['f', [0]]])
  const [session] = server.sessions
  const ended = new Promise<Reason>(resolve => session!.on('closed', resolve))
  peer.pause()
  const calls = Array.from({ length: 30 }, () => rejectionOf(callback!('x'.repeat(100_000))))
  const errors = await Promise.all(calls.slice(10))
  t.match(errors[0], {
    name: 'LimitError',
    message:
      /^listen#1\("x+…"\): the other side has not read or processed earlier messages, and at most 1048576 bytes may wait/
  })
  const oneWay = Netref.oneway(callback!)
  t.match(await rejectionOf(oneWay('x'.repeat(100_000))), { name: 'LimitError' })
  t.ok(session!.stats.buffered <= 1 << 20, `${session!.stats.buffered} bytes wait for it`)
  t.match(await ended, { code: 'peer-not-reading' })
  await Promise.all(calls)
  await peer.end()
  await server.close()
})

t.test('a single call may exceed the buffer limit if nothing else is buffered', t =>
  overMemory(
    t,
    Store,
    async conn => {
      const text = 'x'.repeat(500_000)
      for (let i = 0; i < 3; i++) t.equal(await conn.root.keep(text), i + 1)
      const calls = [1, 2].map(() => conn.root.keep(text))
      t.match(await rejectionOf(calls[1]!), { name: 'LimitError' })
      t.equal(await calls[0], 4)
    },
    { limits: { bufferedBytes: 100_000 } }
  )
)

t.test('a loop that awaits one-way calls gets back-pressure, and no call rejects', t =>
  overMemory(
    t,
    Store,
    async conn => {
      const keep = Netref.oneway(conn.root.keep)
      for (let i = 0; i < 200; i++) await keep('x'.repeat(10_000))
      await conn.ping()
    },
    { limits: { bufferedBytes: 100_000 } }
  )
)

t.test('arguments of pending calls have a limit and are released with them', async t => {
  let settle: (value: unknown) => void = () => {}
  const service = {
    later: () => new Promise(resolve => (settle = resolve)),
    take: () => new Promise(() => {})
  }
  await using server = await serve(service, { port: 0, limits: { bufferedBytes: 1 << 20 } })
  const values = [
    { text: 'x'.repeat(300_000) },
    Array.from({ length: 5000 }, () => []),
    Array.from({ length: 30_000 }, () => 1)
  ]
  const open = async () => {
    const peer = await RawPeer.open(server.url)
    await peer.ping()
    const session = [...server.sessions].at(-1)!
    peer.send([[Op.call, ++peer.lastCallId, 0, 'later', []]])
    return { peer, session, answer: peer.lastCallId }
  }
  const fill = async (peer: RawPeer, target: number, name: string) => {
    const ids: number[] = []
    for (let i = 0; i < 30; i++) {
      peer.send([[Op.call, ++peer.lastCallId, target, name, [values[i % values.length]]]])
      ids.push(peer.lastCallId)
    }
    const refused = await peer.message(([op, , code]) => op === Op.refused && code === 'limit')
    t.match(refused[3], /the pending calls hold more than 2097152 bytes \(limits\.bufferedBytes\)/)
    return ids
  }

  const running = await open()
  await fill(running.peer, 0, 'take')
  t.ok(
    implOf(running.session).incomingCallBytes < 3 * 2 ** 20,
    `${implOf(running.session).incomingCallBytes} bytes are held`
  )
  await running.peer.end()
  t.match(await running.session.closed, { code: 'limit' }, 'and they are released after the disconnect')

  const { peer, session, answer } = await open()
  const ids = await fill(peer, -answer, 'x')
  t.ok(implOf(session).incomingCallBytes < 3 * 2 ** 20, `${implOf(session).incomingCallBytes} bytes are held`)
  peer.send(ids.map(id => [Op.cancel, id]))
  await waitUntil(() => implOf(session).incomingCallBytes === 0)
  peer.send([[Op.call, ++peer.lastCallId, -answer, 'x', [values[0]]]])
  await waitUntil(() => implOf(session).incomingCallBytes > 0)
  settle({ x: () => 1 })
  await peer.reply(peer.lastCallId)
  t.equal(implOf(session).incomingCallBytes, 0)
  await peer.end()
})

t.test('weights of messages: text, lists, records and values with identity', async t => {
  const [first, second] = estimateMessages('[7,[[1,1,0,"a,]\\"[",[{},[1]]],[13,0,1]],[[0,5]]]')
  // Brackets and commas outside strings: four lists and records, and five commas.
  t.same(first, { characters: 25, bytes: 25 + 4 * 64 + 5 * 16 })
  t.same(second, { characters: 8, bytes: 8 + 2 * 16 + 64 })
  t.equal(estimateAnnotations(undefined), 0)
  t.equal(
    estimateAnnotations([
      ['Date', [0], [1]],
      ['r', [2]]
    ] as never),
    13 * 512
  )
})

t.test('messages for pending calls have a limit: cancellations, promises, signals and reasons', async t => {
  type Given = [AsyncIterator<unknown>[], Promise<unknown>[], AbortSignal[]]
  let given!: Given
  const signals: AbortSignal[] = []
  let settle = () => {}
  const service = {
    take: (...all: Given) => {
      given = all
      return new Promise<void>(resolve => (settle = resolve))
    },
    wait: () => new Promise(() => void signals.push(callSignal()))
  }
  await using server = await serve(service, { port: 0, limits: SMALL })
  const peer = await RawPeer.open(server.url)
  const text = 'x'.repeat(40_000)
  const refs = (kind: string, from: number) => [0, 1].map(i => [from + i, kind])
  const args = [refs('iterator', 1), refs('promise', 3), refs('signal', 5)]
  const groups = args.map((_, k) => ['ipa'[k], [k, 0], [k, 1]])
  peer.send([[Op.call, ++peer.lastCallId, 0, 'take', args, groups]])
  const call = peer.lastCallId
  for (let id = 1; id <= 6; id++)
    peer.send([
      [Op.ended, id, 1, text],
      [Op.ping, ++peer.lastCallId]
    ])
  await peer.reply(peer.lastCallId)
  const [iterators, promises, [first, second]] = given
  const beyond = { name: 'LimitError', message: /limits\.bufferedBytes/ }
  t.same(await iterators[0]!.next(), { done: true, value: text })
  t.match(await rejectionOf(iterators[1]!.next()), beyond)
  t.equal(await promises[0], text)
  t.match(await rejectionOf(promises[1]!), beyond)
  for (const { reason } of [first!, second!]) t.match(reason, beyond)
  settle()
  await peer.reply(call)

  const waits = Array.from({ length: 5 }, () => ++peer.lastCallId)
  for (const id of waits) peer.send([[Op.call, id, 0, 'wait', []]])
  // The second cancellation is ignored.
  for (const id of [waits[0], ...waits]) peer.send([[Op.cancel, id, text]])
  peer.send([[Op.ping, ++peer.lastCallId]])
  await peer.reply(peer.lastCallId)
  t.equal(signals[0]!.reason, text)
  t.match(signals[4]!.reason, { name: 'AbortError' })
  await peer.end()
})

t.test('a failure whose stack cannot be read is reported like any other', async t => {
  const stack = Object.getOwnPropertyDescriptor(
    {
      get stack() {
        throw new Error('none')
      }
    },
    'stack'
  )!
  const service = {
    fail: (_: string) => {
      throw Object.defineProperty(new Error('on purpose'), 'stack', stack)
    }
  }
  await using conn = pair(service)
  t.match(await rejectionOf(conn.root.fail('x'.repeat(1000))), { message: 'on purpose' })
})

t.test('a result is kept for pipelined calls while unacknowledged results are small', async t => {
  await using server = await serve({ give: (value: unknown) => value }, { port: 0, limits: SMALL })
  const peer = await RawPeer.open(server.url, { acknowledges: false })
  const records = Array.from({ length: 900 }, () => ({ a: [], text: '' }))
  const last = async (answer: number) => {
    const reply = await peer.ask(Op.get, -answer, ['899', 'text'])
    return reply[0] === Op.result ? 'kept' : reply
  }
  const answers: number[] = []
  for (let i = 0; i < 3; i++) answers.push(Number((await peer.call('give', records))[1]))
  t.equal(await last(answers[0]!), 'kept')
  t.match(await last(answers[2]!), [
    Op.refused,
    Number,
    'limit',
    /^the result that the call refers to was dropped/
  ])
  // The acknowledged answer has arrived; calls no longer build on it.
  const count = peer.framesReceived
  peer.text(`[${count}]`)
  peer.send(
    [
      [Op.call, ++peer.lastCallId, 0, 'give', [records]],
      [Op.get, ++peer.lastCallId, -(peer.lastCallId - 1), ['899', 'text']]
    ],
    count
  )
  t.equal((await peer.reply(peer.lastCallId))[0], Op.result)
  await peer.end()
})

t.test('the weight of an answer is at least that of its value', async t => {
  t.equal(estimateJson('"x"', 1000), 84)
  t.equal(estimateJson(`"${'x'.repeat(98)}"`, 1000), 102 + 64)
  t.equal(estimateJson('[{},[],1]', 0), 11 + 4 * 64 + 2 * 16)
})

t.test(
  'a malformed frame ends the session in order, after frames that wait for the peer to read',
  async t => {
    const server = await serve(Store, { port: 0, limits: { bufferedBytes: 1 << 18 } })
    const peer = await RawPeer.open(server.url, { acknowledges: false })
    await peer.ping()
    const [session] = server.sessions
    for (let i = 0; i < 3; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'text', [100_000]]])
    await waitUntil(() => implOf(session!).link.receiver.isBackpressured)
    peer.text('[0,[[]')
    await waitUntil(() => peer.framesReceived >= 4)
    peer.text(`[${peer.framesReceived}]`)
    t.match(await session!.closed, { code: 'protocol', message: /a frame that is not JSON/ })
    await peer.closed
    await server.close()
  }
)

t.test('an answer that is too large names the caller’s limit to the caller', t =>
  overMemory(
    t,
    { big: () => 'x'.repeat(5000), bytes: () => new Uint8Array(5000) },
    async ({ root }) => {
      t.match(await rejectionOf(root.big()), {
        name: 'LimitError',
        message:
          /^root\.big\(\): the reply has 50\d\d characters of JSON, more than the caller accepts \(its limits\.jsonBytes: 4096\): raise it, or let the method return an iterator$/
      })
      t.match(
        (await rejectionOf(root.bytes())).message,
        /^root\.bytes\(\): the reply has 50\d\d bytes, more than the caller accepts \(its limits\.frameBytes: 4096\)/
      )
    },
    { limits: { jsonBytes: 4096, frameBytes: 4096 } }
  )
)

t.test('5 000 rows with two Dates each pass in both directions, as a table and as records', async t => {
  const row = (i: number) => ({ id: i, made: new Date(i), changed: new Date(2 * i) })
  const tables = Array.from({ length: 5000 }, (_, i) => row(i))
  // Names that differ prevent a table.
  const records = tables.map((fields, i) => ({ ...fields, [`x${i}`]: undefined }))
  await overMemory(
    t,
    { echo: (rows: object[]) => rows, many: (n: number) => Array.from({ length: n }, () => new Date(0)) },
    async ({ root }) => {
      t.same(await root.echo(tables), tables)
      t.same(await root.echo(records), records)
      t.equal((await root.many(20_000)).length, 20_000)
      t.match(await rejectionOf(root.many(20_001)), { code: 'limit', message: /10001 values/ })
    }
  )
})
