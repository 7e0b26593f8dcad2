// What hostile peers on the bus can do: whatever they send, a session ends with a reason, or it is ignored. NETREF_FUZZ is the
// number of fuzzed messages, NETREF_FUZZ_SEED the seed.

import { once } from 'node:events'
import net from 'node:net'
import { connect as connectToNats, headers as newHeaders } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { Kind, MAX_WINDOW_BYTES, MIN_WINDOW_BYTES } from '../../../lib/adapters/nats/sessions/wire.js'
import { serviceSubject } from '../../../lib/adapters/nats/subjects.js'
import { type ConnectOptions, connect, type ServeOptions, serve } from '../../../lib/index.js'
import { formatResume } from '../../../lib/protocol/frame.js'
import { Op } from '../../../lib/protocol/messages.js'
import { random } from '../../support/chaos-proxy.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { RawNatsPeer, rawMessage, someSubject } from '../../support/nats-raw-peer.js'
import { type NatsServerOptions, skipWithoutNats } from '../../support/nats-server.js'
import { startBuses } from '../../support/nats-sessions.js'
import { hello } from '../../support/raw-peer.js'

const skip = skipWithoutNats
const COUNT = Number(process.env.NETREF_FUZZ ?? 2000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)

interface Echo {
  echo<T>(value: T): T
}
const echo: Echo = { echo: value => value }

/** A served instance, and a connection of somebody who may publish and subscribe to all subjects. */
async function start(t: Test, options: ServeOptions = {}, nats: NatsServerOptions = {}) {
  const setup = await startBuses(t, nats)
  const server = await serve(echo, {
    onError: () => {},
    resumeWindow: 100,
    ...options,
    endpoint: setup.bus().service('Echo')
  })
  const hostile = await connectToNats({ servers: setup.server.url })
  t.teardown(() => hostile.close())
  /** Asserts that others are served as before, and that nothing is left of the hostile peer. */
  const endWell = async () => {
    const conn = connect<Echo>(setup.bus().service('Echo'))
    t.equal(await conn.root.echo('still there'), 'still there')
    await conn.close()
    await waitUntil(() => server.sessions.size === 0 && server.metrics.arriving === 0)
    await server.close()
  }
  return { ...setup, served: server, hostile, endWell }
}

t.test('a dial is answered at the subjects of transports only', { skip }, async t => {
  const { hostile, endWell } = await start(t)
  const answered: string[] = []
  const all = hostile.subscribe('>', {
    callback: (_, { subject, data }) => void (data[0] === Kind.hello && answered.push(subject))
  })
  const dial = JSON.stringify({ window: MIN_WINDOW_BYTES })
  const id = 'A'.repeat(16)
  const token = 'B'.repeat(22)
  for (const reply of [
    '$JS.API.STREAM.DELETE.netref_mail',
    `$JS.API.netref.${id}.${token}`,
    `netref.q.mail.netref.${id}.${token}`,
    `netref.netref.${id}.${token}`,
    `a..netref.${id}.${token}`,
    `${'x'.repeat(200)}.netref.${id}.${token}`,
    'orders.new',
    `_INBOX.netref.${id}.${token}.more`,
    `_INBOX.netref.${id}.short`,
    undefined
  ])
    hostile.publish(serviceSubject('Echo'), dial, reply === undefined ? {} : { reply })
  for (const malformed of [
    '',
    'x',
    'null',
    '7',
    '[]',
    '{}',
    '{"window":"20000"}',
    '{"window":-1}',
    '{"window":1.5}',
    `{"window":${MIN_WINDOW_BYTES - 1}}`,
    `{"window":${MAX_WINDOW_BYTES + 1}}`,
    new Uint8Array([0x7b, 0xff])
  ])
    hostile.publish(serviceSubject('Echo'), malformed, { reply: someSubject() })
  const valid = await RawNatsPeer.dial(hostile, 'Echo')
  t.same(answered, [valid.subject], 'the valid dial only')
  all.unsubscribe()
  valid.end()
  await endWell()
})

t.test('a client that violates the protocol of transports', { skip }, async t => {
  const { hostile, endWell } = await start(t)
  const credit = (read: number, window: number) => {
    const body = Buffer.alloc(8)
    body.writeUInt32BE(read)
    body.writeUInt32BE(window, 4)
    return body
  }
  const attacks: [name: string, attack: (peer: RawNatsPeer) => void, ended: RegExp][] = [
    ['an unknown kind', peer => peer.send(7), /^protocol: a client of Echo sent an invalid message$/],
    [
      'a message that is too short',
      peer => peer.sendRaw(Buffer.of(0, 0)),
      /^protocol: .* an invalid message$/
    ],
    ['a hello', peer => peer.send(Kind.hello, '{}'), /^protocol: .* an invalid message$/],
    ['a number out of turn', peer => peer.send(Kind.text, '[]', 1), /^lost$/],
    [
      'the same number twice',
      peer => [0, 0].forEach(number => void peer.send(Kind.text, `{"token":"x"}`, number)),
      /^lost$/
    ],
    [
      'a credit for more than was sent',
      peer => peer.send(Kind.credit, credit(1, MIN_WINDOW_BYTES)),
      /^protocol: .* an invalid credit$/
    ],
    [
      'a window that is too small',
      peer => peer.send(Kind.credit, credit(0, 1)),
      /^protocol: .* an invalid credit$/
    ],
    [
      'a window that is too large',
      peer => peer.send(Kind.credit, credit(0, 0xffffffff)),
      /^protocol: .* an invalid credit$/
    ],
    ['a short credit', peer => peer.send(Kind.credit, 'short'), /^protocol: .* an invalid credit$/],
    [
      'a tiny part',
      peer => peer.send(Kind.part, 'x'.repeat(1023)),
      /^protocol: .* a part that is too short$/
    ],
    ['an empty part', peer => peer.send(Kind.part), /^protocol: .* a part that is too short$/],
    ['text that is not UTF-8', peer => peer.send(Kind.text, Buffer.of(0xff)), /^protocol: .* invalid UTF-8$/],
    [
      'a reason that is none',
      peer => peer.send(Kind.bye, 'goodbye'),
      /^protocol: .* an invalid close reason$/
    ],
    [
      'a reason that is not UTF-8',
      peer => peer.send(Kind.bye, Buffer.of(0xff)),
      /^protocol: .* an invalid close reason$/
    ],
    ['a frame that is none', peer => peer.send(Kind.text, 'hi'), /^protocol: /],
    ['bytes that are no frame', peer => peer.send(Kind.binary, 'hi'), /^protocol: /],
    ['a hello that is none', peer => peer.send(Kind.text, '[0,[0,9]]'), /^(version|protocol): /]
  ]
  for (const [name, attack, ended] of attacks) {
    const peer = await RawNatsPeer.dial(hostile, 'Echo')
    attack(peer)
    // A peer that goes on is told that the transport is gone.
    if (ended.test('lost')) peer.send(Kind.text, '[]', 99)
    t.match(await peer.whenEnded(), ended, name)
    peer.end()
  }
  await endWell()
})

t.test('floods: before the hello, while the session pauses, and without end', { skip }, async t => {
  const { hostile, served, endWell } = await start(t, {
    limits: {
      frameBytes: 1 << 20,
      jsonBytes: 1 << 18,
      helloBytes: 1 << 20,
      bufferedBytes: 1 << 18,
      pauseMs: 500
    }
  })
  const part = new Uint8Array(100_000)
  const before = process.memoryUsage.rss()

  const early = await RawNatsPeer.dial(hostile, 'Echo')
  for (let i = 0; i < 100; i++) early.send(Kind.part, part)
  t.match(
    await early.whenEnded(),
    /^lost|^connection-lost|^limit|^protocol/,
    'parts without end, before the hello'
  )
  early.end()

  const late = await RawNatsPeer.dial(hostile, 'Echo')
  await late.begin()
  for (let i = 0; i < 100; i++) late.send(Kind.part, part)
  t.match(
    await late.whenEnded(),
    /^limit: a client of Echo sent a frame of more than \d+ bytes$/,
    'parts without end'
  )
  late.end()

  // It reads no replies: the session stops reading, and then its peer uses more than its window.
  const deaf = await RawNatsPeer.dial(hostile, 'Echo', MIN_WINDOW_BYTES)
  await deaf.begin()
  const text = 'x'.repeat(50_000)
  for (let id = 2; id <= 40; id++) deaf.call(id, text)
  for (let i = 0; i < 200; i++) deaf.send(Kind.text, `["${'x'.repeat(50_000)}"]`)
  t.match(await deaf.whenEnded(), /^(protocol|limit|peer-not-reading): /, 'a flood while the session pauses')
  deaf.end()

  const slow = await RawNatsPeer.dial(hostile, 'Echo', MIN_WINDOW_BYTES)
  await slow.begin()
  for (let id = 2; id <= 40; id++) slow.call(id, text)
  const [session] = served.sessions
  t.match(await session!.closed, { code: 'peer-not-reading' }, 'it grants no credit')
  t.equal(slow.got(Kind.bye), undefined, 'what was sent before would come first')
  slow.end()

  const grown = process.memoryUsage.rss() - before
  t.comment(`the process grew by ${Math.round(grown / 1e6)} MB`)
  t.ok(grown < 200e6)
  await waitUntil(() => served.sessions.size === 0)
  await endWell()
})

t.test('a thousand dials that are never followed by a hello', { skip }, async t => {
  const { hostile, served, endWell } = await start(t, { limits: { helloMs: 300, sessions: 100 } })
  const peers = Array.from({ length: 1000 }, () => new RawNatsPeer(hostile))
  for (const { subject } of peers)
    hostile.publish(serviceSubject('Echo'), JSON.stringify({ window: MIN_WINDOW_BYTES }), { reply: subject })
  await waitUntil(() => peers.every(peer => peer.got(Kind.hello)))
  t.ok(served.metrics.arriving <= 1000)
  await waitUntil(() => peers.every(peer => peer.got(Kind.bye))).catch(() =>
    t.comment(String(peers.filter(p => p.got(Kind.bye)).length), JSON.stringify(served.metrics))
  )
  const reasons = peers.map(peer => peer.got(Kind.bye)!.body.toString().split(/\W/)[0])
  t.same([...new Set(reasons)].sort(), ['limit', 'unavailable'])
  for (const peer of peers) peer.end()
  await endWell()
})

t.test('messages on guessed subjects, forged statuses and malformed headers', { skip }, async t => {
  const { server: natsServer, hostile, endWell, bus } = await start(t)
  const conn = connect<Echo>(bus().service('Echo'))
  t.equal(await conn.root.echo(1), 1)
  const interruptions: string[] = []
  conn.on('interrupted', ({ message }) => interruptions.push(message))

  const peer = await RawNatsPeer.dial(hostile, 'Echo')
  await peer.begin()
  const process = peer.to.slice(0, peer.to.lastIndexOf('.'))
  const watcher = new RawNatsPeer(hostile)
  const noResponders = newHeaders(503, 'no responders')
  for (let i = 0; i < 1000; i++) {
    const guessed = `${process}.${someSubject().split('.').at(-1)}`
    hostile.publish(guessed, rawMessage(Kind.lost, 0), { reply: watcher.subject })
    hostile.publish(guessed, '', { headers: noResponders })
    hostile.publish(guessed, rawMessage(Kind.bye, 0, 'closed: x'), { reply: '$JS.API.INFO' })
  }
  hostile.publish(`${process}.probe`, 'x', { reply: watcher.subject })
  hostile.publish(`${process}.not-a-token`, 'x', { reply: watcher.subject })
  await waitUntil(() => watcher.messages.length > 0)
  t.same(
    watcher.messages.map(({ kind }) => kind),
    [Kind.lost],
    'only the message to no transport is answered'
  )

  // Who knows the subject of a transport can break it; the session goes on over another.
  const socket = net.connect(natsServer.port, '127.0.0.1')
  await once(socket, 'data')
  const malformed = 'NATS/1.0\r\nä ö: x\r\n\r\n'
  const bytes = Buffer.byteLength(malformed)
  socket.write(
    `CONNECT {"headers":true,"verbose":false,"protocol":1}\r\nHPUB ${peer.to} ${bytes} ${bytes}\r\n${malformed}\r\nPING\r\n`
  )
  await once(socket, 'data')
  socket.destroy()
  peer.call(2, 'after malformed headers')
  await peer.whenGotText('after malformed headers')
  peer.end()

  t.equal(await conn.root.echo(2), 2)
  t.same(interruptions, [])
  await conn.close()
  await endWell()
})

t.test('a session is resumed by its token and identity only', { skip }, async t => {
  let user = 'ada'
  const { hostile, served, endWell } = await start(t, {
    authenticate: () => ({ user }),
    sameIdentity: (a, b) => (a as { user: string }).user === (b as { user: string }).user
  })
  const victim = await RawNatsPeer.dial(hostile, 'Echo')
  await victim.begin()
  const first = victim.got(Kind.text)!.body.toString()
  const [token] = /"[\w.-]{20,64}"/.exec(first)!

  const guess = await RawNatsPeer.dial(hostile, 'Echo')
  guess.send(Kind.text, formatResume('resume', { token: 'guessed', ack: 0 }))
  t.match(await guess.whenEnded(), /^session-lost: the server does not know the session/)
  user = 'eve'
  const thief = await RawNatsPeer.dial(hostile, 'Echo')
  thief.send(Kind.text, formatResume('resume', { token: token.slice(1, -1), ack: 1 }))
  t.match(await thief.whenEnded(), /^session-lost: the session belongs to another identity$/)
  victim.call(2, 'mine')
  await victim.whenGotText('mine')
  for (const peer of [victim, guess, thief]) peer.end()
  for (const session of served.sessions) await session.close()
  await endWell()
})

/** A false instance, which answers each dial by this. */
async function falseInstance(t: Test, answer: (peer: RawNatsPeer, dial: string) => void) {
  const { server, bus } = await startBuses(t)
  const hostile = await connectToNats({ servers: server.url })
  t.teardown(() => hostile.close())
  hostile.subscribe(serviceSubject('Echo'), {
    callback: (_, { reply }) => {
      const peer = new RawNatsPeer(hostile)
      peer.to = reply!
      answer(peer, reply!)
    }
  })
  await hostile.flush()
  return { hostile, connect: (options?: ConnectOptions) => connect<Echo>(bus().service('Echo'), options) }
}

const validHello = (to: string) => ({ to, window: MIN_WINDOW_BYTES, id: 'x', version: '1.0.0', metadata: {} })

t.test('a false instance whose answer is malformed', { skip }, async t => {
  let body: unknown
  const { connect } = await falseInstance(t, peer =>
    peer.send(Kind.hello, typeof body === 'string' ? body : JSON.stringify(body))
  )
  const valid = validHello(someSubject())
  for (body of [
    'x',
    'null',
    '[]',
    {},
    { ...valid, to: 7 },
    { ...valid, to: '$JS.API.STREAM.DELETE.x' },
    { ...valid, to: 'orders.new' },
    { ...valid, window: 1 },
    { ...valid, window: null },
    { ...valid, id: 'a.b' },
    { ...valid, id: 7 },
    { ...valid, version: 'one' },
    { ...valid, metadata: { zone: 1 } },
    { ...valid, metadata: null }
  ])
    t.match(
      await rejectionOf(connect().root.echo(1)),
      { code: 'protocol', message: /Echo sent an invalid message/ },
      JSON.stringify(body)
    )
})

t.test('a false instance that says what it should not', { skip }, async t => {
  let act: (peer: RawNatsPeer) => void
  const { connect } = await falseInstance(t, peer => {
    peer.send(Kind.hello, JSON.stringify(validHello(peer.subject)), 0)
    act(peer)
  })
  const attacks: [string, (peer: RawNatsPeer) => void, object][] = [
    ['a frame before its hello', peer => peer.send(Kind.text, '[0,[99]]'), { code: 'protocol' }],
    ['it goes at once', peer => peer.send(Kind.bye, 'server-closed: later'), { code: 'server-closed' }],
    ['it refuses', peer => peer.send(Kind.bye, 'unauthorized: who are you?'), { code: 'unauthorized' }],
    ['it is silent', () => {}, { code: 'connection-lost' }],
    ['it is gone', peer => peer.end(), { code: /connection-lost|unreachable/ }]
  ]
  for (const [name, attack, expected] of attacks) {
    act = attack
    const conn = connect({ heartbeat: 100, reconnect: { delay: 1, maxDelay: 1 } })
    const error = await Promise.race([rejectionOf(conn.root.echo(1)), rejectionOf(conn.opened)])
    t.match(error, expected, `${name}: ${error.message}`)
    await conn.close()
  }
  // Two answers to one dial: the second is told that its transport is not used.
  const second: RawNatsPeer[] = []
  act = peer => {
    const other = new RawNatsPeer(peer.connection)
    other.to = peer.to
    other.send(Kind.hello, JSON.stringify(validHello(other.subject)))
    second.push(other)
  }
  const conn = connect()
  await waitUntil(() => second.length > 0)
  await second[0]!.whenGot(Kind.lost)
  t.pass('it is told')
  await conn.close()
})

t.test(`${COUNT} fuzzed messages to both ends (NETREF_FUZZ_SEED=${SEED})`, { skip }, async t => {
  t.setTimeout(60_000 + COUNT * 20)
  const { hostile, endWell, bus } = await start(t, { limits: { helloMs: 500 } })
  const next = random(SEED)
  const upTo = (n: number) => Math.floor(next() * n)
  const pick = <T>(values: readonly T[]): T => values[upTo(values.length)]!
  const bodies = () =>
    pick<() => Uint8Array | string>([
      () => '',
      () => '[0]',
      () => JSON.stringify([0, [hello()]]),
      () => `[${upTo(3)},[[${Op.call},${upTo(5)},0,"echo",[${upTo(9)}]]]]`,
      () => `["resume","${'t'.repeat(1 + upTo(20))}",${upTo(9)}]`,
      () => '{"token":"x"}',
      () => 'closed: x',
      () => Buffer.from(Array.from({ length: upTo(40) }, () => upTo(256))),
      () => Buffer.alloc(upTo(20_000)),
      () => {
        const credit = Buffer.alloc(8)
        credit.writeUInt32BE(upTo(3) * upTo(1000))
        credit.writeUInt32BE(pick([0, MIN_WINDOW_BYTES, MAX_WINDOW_BYTES, 0xffffffff]), 4)
        return credit
      },
      () => JSON.stringify(validHello(pick([someSubject(), '$JS.API', 'x'])))
    ])()
  const attack = (peer: RawNatsPeer, count: number) => {
    for (let i = 0; i < count; i++) {
      const number = next() < 0.9 ? peer.sent++ : upTo(10)
      if (next() < 0.05) peer.sendRaw(Buffer.from(Array.from({ length: upTo(12) }, () => upTo(256))))
      else peer.send(next() < 0.95 ? upTo(7) : upTo(256), bodies(), number)
    }
  }
  hostile.subscribe(serviceSubject('False'), {
    callback: (_, { reply }) => {
      const peer = new RawNatsPeer(hostile)
      peer.to = reply!
      if (next() < 0.8) peer.send(Kind.hello, JSON.stringify(validHello(peer.subject)), 0)
      attack(peer, upTo(8))
      peer.end()
    }
  })
  const clients = bus()
  for (let sent = 0; sent < COUNT; ) {
    if (next() < 0.3) {
      const conn = connect<Echo>(clients.service('False'), { reconnect: { delay: 1 }, handshakeTimeout: 100 })
      const answered = Promise.resolve(conn.root.echo(1)).catch(() => {})
      await Promise.race([answered, hostile.flush().then(() => hostile.flush())])
      await conn.close()
      sent += 4
    } else {
      const peer = await RawNatsPeer.dial(hostile, 'Echo')
      const count = 1 + upTo(10)
      if (next() < 0.5) await peer.begin()
      attack(peer, count)
      sent += count
      await hostile.flush()
      peer.end()
    }
  }
  await endWell()
})
