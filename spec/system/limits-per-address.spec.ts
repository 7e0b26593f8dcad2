// Tests the limits per address, and which interrupted session may give its slot to which client.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  connect,
  type ServeOptions,
  type Server,
  type Session,
  serve,
  type UpgradeRequest
} from '../../lib/index.js'
import type { ResumeFrame } from '../../lib/protocol/frame.js'
import { networkOf } from '../../lib/server/network.js'
import { implOf, rejectionOf, waitUntil } from '../support/helpers.js'
import { RawPeer, type RawPeerOptions, upgradeRequest } from '../support/raw-peer.js'

const [HOME, AWAY, STRANGE] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const
const AWAY_NOW = { message: /^refused: HTTP\/1.1 503 / }
const REFUSED = { message: /^refused: HTTP\/1.1 503 [\s\S]*\r\nRetry-After: 1\r\n/ }

const start = (options: ServeOptions = {}) => serve({}, { port: 0, ...options })
const named = (name: string): RawPeerOptions => ({ path: `/?name=${name}` })
/** A client without a name still has an identity. */
const authenticate = async (request: UpgradeRequest) => {
  const name = request.query.get('name')
  return name === null || { name }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`it does not hold: ${what}`)
}

function deferred<T>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>(done => {
    resolve = done
  })
  return { promise, resolve }
}

async function come(server: Server, from: string, options: RawPeerOptions = {}): Promise<RawPeer> {
  const peer = await RawPeer.open(server.url, { from, ...options })
  if (!options.resumption && (options.sendsHello ?? true)) await peer.ping()
  return peer
}

/** Begins a session and loses its socket. @returns the session, and its resume token */
async function leave(server: Server, from: string, options: RawPeerOptions = {}) {
  const others = new Set(server.sessions)
  const peer = await come(server, from, options)
  const [session] = [...server.sessions].filter(session => !others.has(session))
  const [, , , token] = await peer.message(([op]) => op === 0)
  await peer.end()
  await waitUntil(() => session!.state === 'interrupted')
  return { session: session!, resumes: { token: String(token), ack: peer.framesReceived } }
}

t.test('only a client of its address may replace an interrupted session', async t => {
  const events: unknown[] = []
  const onError = (error: unknown) => events.push(String(error))
  await using server = await start({ limits: { sessions: 2 }, onError })
  const first = await leave(server, HOME)
  const second = await leave(server, AWAY)
  for (let i = 0; i < 5; i++) t.match(await rejectionOf(come(server, STRANGE)), REFUSED)
  t.same(events, [
    'NetrefError: serve: a client was refused: all 2 sessions are in use (limits.sessions); raise it to accept more'
  ])
  const back = await come(server, AWAY, { resumption: second.resumes })
  t.match(await rejectionOf(come(server, AWAY)), REFUSED, 'its slot is taken')
  t.same([first.session.state, second.session.state], ['interrupted', 'open'])
  const again = await come(server, HOME)
  t.match(await first.session.closed, {
    code: 'limit',
    message: 'it was ended to accept another client: the server allows 2 sessions (limits.sessions)'
  })
  await Promise.all([back.end(), again.end()])
})

t.test('a silent client with a reserved slot does not prevent others from resuming', async t => {
  for (const options of [{}, { authenticate }]) {
    await using server = await start({ ...options, limits: { sessions: 3 } })
    const own = await leave(server, HOME, named('ann'))
    const other = await leave(server, AWAY, named('bob'))
    const last = await leave(server, STRANGE, named('eve'))
    const silent = await come(server, STRANGE, { ...named('eve'), sendsHello: false })
    t.match(await rejectionOf(come(server, STRANGE, named('eve'))), REFUSED, 'it has one slot, once')
    const back = await come(server, AWAY, { ...named('bob'), resumption: other.resumes })
    // The oldest session of an address or identity stays resumable while another client has reserved its slot.
    await silent.end()
    const again = await come(server, STRANGE, { ...named('eve'), resumption: last.resumes })
    const home = await come(server, HOME, { ...named('ann'), resumption: own.resumes })
    t.same(
      [...server.sessions].map(({ state }) => state),
      ['open', 'open', 'open']
    )
    await Promise.all([back.end(), again.end(), home.end()])
  }
})

t.test('a client with a reserved slot may resume another session and releases the slot', async t => {
  await using server = await start({ limits: { sessions: 2 } })
  const first = await leave(server, HOME)
  const second = await leave(server, HOME)
  const back = await come(server, HOME, { resumption: second.resumes })
  const again = await come(server, HOME, { resumption: first.resumes })
  t.same([first.session.state, second.session.state], ['open', 'open'])
  await Promise.all([back.end(), again.end()])
})

t.test('a resumed session does not end for the client that had reserved its slot', async t => {
  await using server = await start({ limits: { sessions: 2 } })
  const first = await leave(server, HOME)
  const second = await leave(server, HOME)
  const silent = await come(server, HOME, { sendsHello: false })
  const back = await come(server, HOME, { resumption: first.resumes })
  silent.send([[0, 1, { jsonBytes: 4 << 20, frameBytes: 16 << 20, depth: 200, values: 10_000 }]])
  await waitUntil(() => second.session.state !== 'interrupted' || silent.isClosed)
  t.equal(first.session.state, 'open')
  await Promise.all([back.end(), silent.end()])
})

t.test('an interrupted session ends only for its own address, which can always resume', async t => {
  const act = fc.record({
    what: fc.constantFrom('begin', 'knock', 'lose', 'comeBack', 'hangUp'),
    from: fc.constantFrom(HOME, AWAY, STRANGE)
  })
  const property = fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 25 }), async acts => {
    await using server = await start({ limits: { sessions: 3 } })
    const open: { from: string; peer: RawPeer; session: Session }[] = []
    const silent: { from: string; peer: RawPeer }[] = []
    const waiting: { from: string; session: Session; resumes: ResumeFrame }[] = []
    const takeAt = <T extends { from: string }>(list: T[], from: string) => {
      const index = list.findIndex(one => one.from === from)
      return index < 0 ? undefined : list.splice(index, 1)[0]
    }
    const lose = async ({ from, peer, session }: (typeof open)[number]) => {
      const received = peer.framesReceived
      const [, , , token] = await peer.message(([op]) => op === 0)
      await peer.end()
      await waitUntil(() => session.state !== 'open')
      waiting.push({ from, session, resumes: { token: String(token), ack: received } })
    }
    for (const { what, from } of acts) {
      const others = waiting.filter(one => one.from !== from && one.session.state === 'interrupted')
      const before = new Set(server.sessions)
      if (what === 'begin') {
        const peer = await come(server, from).catch(() => undefined)
        const [session] = [...server.sessions].filter(session => !before.has(session))
        check((session !== undefined) === (peer !== undefined), 'who is let in has a session')
        if (peer) open.push({ from, peer, session: session! })
      } else if (what === 'knock') {
        const peer = await come(server, from, { sendsHello: false }).catch(() => undefined)
        if (peer) silent.push({ from, peer })
      } else if (what === 'lose') {
        const lost = takeAt(open, from)
        if (lost) await lose(lost)
      } else if (what === 'hangUp') {
        const gone = takeAt(silent, from)
        await gone?.peer.end()
        await waitUntil(() => server.metrics.arriving === silent.length)
      } else {
        const mayKnock = silent.filter(one => one.from === from).length
        const mine = waiting.filter(one => one.from === from && one.session.state === 'interrupted')
        if (mine.length <= mayKnock) continue
        const back = takeAt(waiting, from)!
        if (back.session.state !== 'interrupted') continue
        const peer = await come(server, from, { resumption: back.resumes })
        check(String(back.session.state) === 'open', 'it is back')
        implOf(back.session).end({ code: 'closed', message: 'it has done what it came for' })
        await peer.closed
      }
      check(
        others.every(({ session }) => session.state === 'interrupted'),
        'others wait as before'
      )
      check(server.sessions.size <= 3, 'there are no more than there may be')
    }
    // No count of a client that is gone remains.
    for (const { peer } of [...open, ...silent]) await peer.end()
    for (const session of server.sessions) implOf(session).end({ code: 'closed', message: 'it is over' })
    await waitUntil(() => server.sessions.size === 0 && server.metrics.arriving === 0)
    for (const from of [HOME, AWAY, STRANGE]) await come(server, from)
    t.match(await rejectionOf(come(server, HOME)), REFUSED)
  })
  await fc.assert(property, { numRuns: 20 })
})

t.test('the address of a session is the last one of its client', async t => {
  await using server = await start({ limits: { sessions: 2 } })
  const { session, resumes } = await leave(server, HOME)
  const moved = await come(server, AWAY, { resumption: resumes })
  await moved.end()
  await waitUntil(() => session.state === 'interrupted')
  const other = await come(server, STRANGE)
  t.match(await rejectionOf(come(server, HOME)), REFUSED)
  const next = await come(server, AWAY)
  t.match(await session.closed, { code: 'limit' })
  await Promise.all([other.end(), next.end()])
})

t.test('a client with the identity of an interrupted session may come from any address', async t => {
  await using server = await start({ authenticate, limits: { sessions: 2 } })
  const ann = await leave(server, HOME, named('ann'))
  const nobody = await leave(server, HOME)
  t.match(await rejectionOf(come(server, STRANGE, named('bob'))), REFUSED)
  t.match(await rejectionOf(come(server, STRANGE)), REFUSED)
  const back = await come(server, STRANGE, { ...named('ann'), resumption: ann.resumes })
  t.match(await rejectionOf(come(server, STRANGE, named('ann'))), REFUSED, 'its slot is taken')
  await back.end()
  await waitUntil(() => ann.session.state === 'interrupted')
  const again = await come(server, AWAY, named('ann'))
  t.match(await ann.session.closed, { code: 'limit' })
  t.equal(nobody.session.state, 'interrupted')
  await again.end()
})

t.test('a client asked for a token learns on the socket that the server is full', async t => {
  const decide = async (request: UpgradeRequest) => (await request.token()) ?? false
  await using server = await start({ authenticate: decide, limits: { sessions: 1 } })
  const peer = await come(server, HOME, { sendsHello: false })
  peer.text('{"token":"ann"}')
  peer.send([[0, 1, { jsonBytes: 4 << 20, frameBytes: 16 << 20, depth: 200, values: 10_000 }]])
  await waitUntil(() => server.sessions.size === 1)
  const [session] = server.sessions
  await peer.end()
  await waitUntil(() => session!.state === 'interrupted')
  const bob = connect(server.url, { token: 'bob' })
  t.match(await bob.closed, { code: 'unavailable', message: /the server has reached its limit of sessions/ })
  t.equal(session!.state, 'interrupted')
})

t.test('a rejected client reserves no slot while its socket closes', async t => {
  const tokens: unknown[] = []
  const decide = async (request: UpgradeRequest) => {
    const token = await request.token()
    tokens.push(token)
    return token === 'ann'
  }
  await using server = await start({ authenticate: decide, limits: { sessions: 2 } })
  const one = connect(server.url, { token: 'ann' })
  await one.ping()
  const refused = await come(server, STRANGE, { sendsHello: false })
  refused.socket.pause()
  refused.text('{"token":"eve"}')
  await waitUntil(() => tokens.includes('eve'))
  const other = connect(server.url, { token: 'ann' })
  await other.ping()
  t.equal(server.metrics.arriving, 1, 'it is still connected')
  refused.socket.resume()
  t.match(await refused.closed, { code: 3000 })
  await Promise.all([one.close(), other.close()])
})

t.test('clients authenticated at the same time take no more slots than there are', async t => {
  const verdict = deferred<boolean>()
  const decide = (request: UpgradeRequest) => (request.query.has('slow') ? verdict.promise : true)
  await using server = await start({ authenticate: decide, limits: { sessions: 2 } })
  const first = await come(server, HOME)
  const coming = [HOME, AWAY].map(from => come(server, from, { path: '/?slow' }))
  await waitUntil(() => server.metrics.arriving === 2)
  t.match(
    await rejectionOf(come(server, STRANGE)),
    REFUSED,
    'as many clients are authenticated as there may be sessions'
  )
  verdict.resolve(true)
  const [second, third] = coming
  t.match(await rejectionOf(third!), REFUSED)
  await Promise.all([first.end(), (await second!).end()])
})

t.test('a client being authenticated takes no slot of an interrupted session', async t => {
  const verdict = deferred<boolean>()
  const decide = (request: UpgradeRequest) => (request.query.has('slow') ? verdict.promise : true)
  await using server = await start({ authenticate: decide, limits: { sessions: 3 } })
  const open = [await come(server, HOME), await come(server, AWAY)]
  const slow = ['a', 'b'].map(() => rejectionOf(come(server, STRANGE, { path: '/?slow' })))
  await waitUntil(() => server.metrics.arriving === 2)
  open.push(await come(server, AWAY))
  verdict.resolve(true)
  for (const refused of await Promise.all(slow)) t.match(refused, REFUSED)
  await Promise.all(open.map(peer => peer.end()))
})

t.test('a client that left during authentication takes no slot', async t => {
  const verdict = deferred<string>()
  const decide = async (request: UpgradeRequest) => {
    if (request.query.has('token')) await request.token()
    return request.query.has('slow') ? verdict.promise : authenticate(request)
  }
  await using server = await start({ authenticate: decide, limits: { sessions: 2, helloMs: 200 } })
  const { session, resumes } = await leave(server, HOME, named('ann'))
  const other = await come(server, AWAY)
  const late = rejectionOf(come(server, HOME, { path: '/?slow' }))
  await waitUntil(() => server.metrics.arriving === 1)
  t.match(await late, AWAY_NOW)
  const gone = await come(server, HOME, { path: '/?slow&token', sendsHello: false })
  await gone.end()
  await waitUntil(() => server.metrics.arriving === 0)
  verdict.resolve('ann')
  await verdict.promise
  const back = await come(server, HOME, { ...named('ann'), resumption: resumes })
  t.equal(session.state, 'open')
  await Promise.all([back.end(), other.end()])
})

t.test('a client refused by a limit retries after the given time', async t => {
  await using server = await start({ limits: { sessions: 1 } })
  const first = await come(server, HOME)
  const message = /503 \(the server has reached its limit of sessions\)/
  t.match(await connect(server.url).closed, { code: 'unreachable', retryAfter: 1, message })
  const patient = connect(server.url, { reconnect: { initial: true, delay: 1 } })
  const ping = patient.ping()
  await waitUntil(() => patient.state === 'connecting')
  await first.end()
  const [session] = server.sessions
  await waitUntil(() => session!.state === 'interrupted')
  implOf(session!).end({ code: 'closed', message: 'it makes room' })
  await ping
  await patient.close()
})

t.test('an error of `sameIdentity` is reported once and means another identity', async t => {
  const errors: unknown[] = []
  const sameIdentity = () => {
    throw new Error('no idea')
  }
  const onError = (error: unknown) => errors.push(error)
  await using server = await start({ authenticate, sameIdentity, onError, limits: { sessions: 2 } })
  await leave(server, HOME, named('ann'))
  await leave(server, HOME, named('ann'))
  t.match(await rejectionOf(come(server, AWAY, named('ann'))), REFUSED)
  t.match(errors, [{ message: 'no idea' }])
})

t.test('an identity that is not data is the same only if it is the same object', async t => {
  const users = new Map([['ann', () => 'ann']])
  const decide = (request: UpgradeRequest) => users.get(request.query.get('name')!) ?? (() => 'somebody')
  await using server = await start({ authenticate: decide, limits: { sessions: 1 } })
  const { session, resumes } = await leave(server, HOME, named('ann'))
  t.match(await rejectionOf(come(server, AWAY)), REFUSED)
  const back = await come(server, AWAY, { ...named('ann'), resumption: resumes })
  t.equal(session.state, 'open')
  await back.end()
})

t.test('a client that may resume is authenticated although others wait', async t => {
  const verdict = deferred<void>()
  let asked = 0
  const decide = async (request: UpgradeRequest) => {
    asked++
    if (request.query.has('slow')) await verdict.promise
    return authenticate(request)
  }
  await using server = await start({ authenticate: decide, limits: { sessions: 2 } })
  const { session, resumes } = await leave(server, HOME, named('ann'))
  const strangers = ['a', 'b'].map(() => rejectionOf(come(server, STRANGE, { path: '/?slow' })))
  await waitUntil(() => asked === 3)
  t.match(await rejectionOf(come(server, AWAY)), REFUSED)
  const back = await come(server, HOME, { ...named('ann'), resumption: resumes })
  t.equal(session.state, 'open')
  t.match(await rejectionOf(come(server, HOME)), REFUSED)
  t.equal(asked, 4)
  await back.end()
  await waitUntil(() => session.state === 'interrupted')
  await server.close()
  verdict.resolve()
  for (const refused of await Promise.all(strangers)) t.match(refused, AWAY_NOW)
})

t.test('without a resume window a slot is free once its socket is closed', async t => {
  await using server = await start({ resumeWindow: 0, limits: { sessions: 1 } })
  const first = await come(server, HOME)
  t.match(await rejectionOf(come(server, HOME)), REFUSED)
  await first.end()
  await waitUntil(() => server.sessions.size === 0)
  const next = await come(server, AWAY)
  await next.end()
})

t.test('without a resume window no more clients are authenticated than there may be sessions', async t => {
  const verdict = deferred<boolean>()
  const options = { resumeWindow: 0, authenticate: () => verdict.promise, limits: { sessions: 1 } }
  await using server = await start(options)
  const first = come(server, HOME)
  await waitUntil(() => server.metrics.arriving === 1)
  t.match(await rejectionOf(come(server, HOME)), REFUSED)
  verdict.resolve(true)
  await (await first).end()
})

t.test(
  '64 clients of one address may be authenticated at once; the hint at a proxy is reported once',
  async t => {
    const errors: Error[] = []
    const verdict = deferred<boolean>()
    const options = {
      authenticate: () => verdict.promise,
      onError: (error: unknown) => errors.push(error as Error)
    }
    await using server = await start(options)
    const waiting = Array.from({ length: 64 }, () => come(server, HOME))
    await waitUntil(() => server.metrics.arriving === 64)
    t.match(await rejectionOf(come(server, HOME)), REFUSED)
    t.match(await rejectionOf(come(server, HOME)), REFUSED)
    const other = come(server, AWAY)
    await waitUntil(() => server.metrics.arriving === 65)
    t.match(errors, [
      {
        code: 'limit',
        message:
          'serve: a client was refused: too many clients come from 127.0.0.2 (limits.sessionsPerAddress); behind a proxy set trustProxy to distinguish its clients'
      }
    ])
    t.equal(errors.length, 1)
    verdict.resolve(true)
    const peers = await Promise.all([...waiting, other, come(server, HOME)])
    t.equal(server.sessions.size, 66, 'accepted clients are not limited by address')
    await Promise.all(peers.map(peer => peer.end()))
  }
)

t.test('authentication that never settles takes its slot for helloMs only', async t => {
  let asked = 0
  const never = () => {
    asked++
    return new Promise<never>(() => {})
  }
  await using server = await start({ authenticate: never, limits: { helloMs: 300 } })
  const refused = Array.from({ length: 64 }, () => rejectionOf(come(server, HOME)))
  for (const error of await Promise.all(refused)) t.match(error, AWAY_NOW)
  await waitUntil(() => server.metrics.arriving === 0)
  t.match(await rejectionOf(come(server, HOME)), AWAY_NOW)
  t.equal(asked, 65)
})

t.test(
  'sessionsPerAddress limits the sessions of an address; its oldest interrupted ones make room',
  async t => {
    for (const options of [{}, { authenticate }]) {
      await using server = await start({ ...options, onError() {}, limits: { sessionsPerAddress: 2 } })
      const other = await leave(server, AWAY)
      const first = await leave(server, HOME)
      const second = await leave(server, HOME)
      const one = await come(server, HOME)
      t.match(await first.session.closed, {
        code: 'limit',
        message:
          'it was ended to accept another client: the server allows 2 sessions of an address (limits.sessionsPerAddress)'
      })
      const two = await come(server, HOME, { resumption: second.resumes })
      t.match(await rejectionOf(come(server, HOME)), REFUSED)
      t.same([other.session.state, second.session.state], ['interrupted', 'open'])
      await Promise.all([one.end(), two.end()])
    }
  }
)

t.test('behind a proxy the forwarded address counts, of IPv6 its /64', async t => {
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  await using server = await start({ trustProxy: true, onError, limits: { sessionsPerAddress: 1 } })
  const by = (address: string) => come(server, HOME, { headers: { 'x-forwarded-for': address } })
  const peers = [await by('203.0.113.1'), await by('203.0.113.2'), await by('2001:db8::1')]
  t.match(await rejectionOf(by('2001:db8:0:0:1::2')), REFUSED)
  t.match(await rejectionOf(by('203.0.113.7, 203.0.113.1')), REFUSED)
  t.match(await rejectionOf(by('::ffff:cb00:7102')), REFUSED, 'IPv4 that is written as IPv6')
  // Text that is no address counts as the proxy's own.
  peers.push(await by('unknown'))
  for (const none of ['', 'me', '203.0.113.9, x', `"${'y'.repeat(1000)}"`]) {
    t.match(await rejectionOf(by(none)), REFUSED)
  }
  peers.push(await by('2001:db8:0:1::1'))
  t.same(errors, [])
  await Promise.all(peers.map(peer => peer.end()))
})

t.test('a client without an address has no limit per address', async t => {
  const web = createServer()
  const path = join(tmpdir(), `netref-${process.pid}.sock`)
  web.listen(path)
  await once(web, 'listening')
  await using server = await start({ server: web, port: undefined, limits: { sessionsPerAddress: 1 } })
  const sockets = [0, 1].map(() => createConnection(path))
  for (const socket of sockets) {
    socket.write(upgradeRequest())
    t.match(String(await once(socket, 'data')), /^HTTP\/1.1 101 /)
  }
  for (const socket of sockets) socket.destroy()
  await server.close()
  web.close()
})

t.test('networkOf', async t => {
  for (const [address, network] of [
    ['203.0.113.1', '203.0.113.1'],
    ['203.0.113.1:8080', '203.0.113.1'],
    ['::ffff:203.0.113.1', '203.0.113.1'],
    ['0:0:0:0:0:FFFF:cb00:7101', '203.0.113.1'],
    ['[::ffff:203.0.113.1]:8080', '203.0.113.1'],
    ['::ffff:0:1', '0.0.0.1'],
    ['1:0:0:0:0:ffff:cb00:7101', '1:0:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::9]:443', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::203.0.113.1', '64:ff9b:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['unknown', undefined],
    ['203.0.113.1 ', undefined],
    ['[203.0.113.1', undefined],
    ['', undefined]
  ] as const)
    t.equal(networkOf(address), network)
})
