// Tests the guide's bounds on the memory of one session. A hostile peer pushes each row to its limit, on a server process
// of 300 MB with small limits. The memory must stay below the bound, and others must be served meanwhile. `npm run
// effort` measures the turns of the event loop, with its own spec.
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connect } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import type { Control } from '../support/fixtures/limited-server.js'
import { headOf, RawPeer, type RawPeerOptions, TEXT, webSocketFrame } from '../support/raw-peer.js'
import { TargetProcess } from '../support/target-process.js'

const KiB = 1 << 10
const MiB = 1 << 20
const LIMITS = {
  jsonBytes: MiB / 2,
  frameBytes: 2 * MiB,
  bufferedBytes: 2 * MiB,
  values: 2000,
  exports: 8000,
  imports: 8000,
  pendingCalls: 8000,
  helloBytes: 2 * MiB
}
const { jsonBytes, frameBytes, bufferedBytes } = LIMITS
/** Bytes that the idempotency store of the server keeps for all identities. */
const KEPT = 8 * MiB
const FRAME = frameBytes + 2 * jsonBytes
/** Weight of a socket with two reads of 64 KiB, in bytes. */
const SOCKET = 160 * KiB
/** Memory noise of the process between two measurements, in bytes. */
const NOISE = 1 * MiB
/** Most bytes that parsed JSON takes for each character: `[],` or `{},`. */
const PARSED = 28

t.setTimeout(100_000)
const [victim, url] = await TargetProcess.start('limited-server.ts', JSON.stringify(LIMITS))
t.teardown(() => victim.kill())
const bystander = connect<Control>(`${url}/control`)
const open = (path = '/', options: RawPeerOptions = {}) =>
  RawPeer.open(url, { path, recordsMessages: false, ...options })
const wide = (length: number) => 'あ'.repeat(length)
const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))

/** Polls a counter of the server; each poll shows that a bystander is served. */
async function told<T>(ask: () => PromiseLike<T>, holds: (said: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const said = await victim.whileAlive(Promise.resolve(ask()))
    if (holds(said)) return said
    if (tries > 2000) throw new Error(`never came: ${holds}, but ${JSON.stringify(said)}`)
    await delay(5)
  }
}

/** Ends all sessions and waits for their sockets: the end of a socket is noticed only by reading. */
async function nobody(): Promise<void> {
  await bystander.root.endAll()
  await told(
    () => bystander.root.guests(),
    guests => guests === 0
  )
}

/** Pushes to a limit, and asserts that memory stays below it and comes close to it. */
async function pushes(
  t: Test,
  most: number,
  push: () => Promise<RawPeer[]>,
  least = most / 8
): Promise<void> {
  const { heldBytes: before } = await victim.usage()
  const peers = await victim.whileAlive(push())
  for (let i = 0; i < 5; i++) await victim.whileAlive(Promise.resolve(bystander.root.told()))
  const more = (await victim.usage()).heldBytes - before
  t.comment(`${(more / MiB).toFixed(1)} of ${(most / MiB).toFixed(1)} MiB are held`)
  t.ok(more < most + NOISE, `${more} bytes are held, of ${most}`)
  t.ok(more > least, 'the limit was reached')
  for (const peer of peers) await peer.end()
  await nobody()
}

// First, since repeated refusals are reported ten seconds later.
t.test('refusals of one-way calls: one of a kind in ten seconds', async t => {
  const before = await bystander.root.told()
  await pushes(
    t,
    NOISE,
    async () => {
      const peer = await open()
      for (let i = 0; i < 5; i++) {
        peer.send(times(1000, () => [Op.oneway, 0, 0, 'none', []]))
        await peer.ping()
      }
      return [peer]
    },
    Number.NEGATIVE_INFINITY
  )
  t.equal(await bystander.root.told(), before + 1)
})

t.test('before authentication: 8 KiB of a socket, and one read', async t => {
  for (const path of ['/door', '/token'])
    await pushes(
      t,
      50 * SOCKET,
      () =>
        Promise.all(
          times(50, async () => {
            const peer = await RawPeer.dial(url, { path })
            const opening = peer.upgrade()
            opening.catch(() => {})
            if (path === '/token') {
              await opening
              peer.text(JSON.stringify({ token: 'x' }))
            }
            peer.write(headOf(TEXT, MiB))
            peer.write('x'.repeat(MiB))
            return peer
          })
        ),
      0
    )
})

t.test('before all hellos: twice helloBytes, and one frame', t =>
  pushes(t, 2 * LIMITS.helloBytes + FRAME + 10 * SOCKET, async () => {
    const peers = await Promise.all(times(10, () => open('/', { sendsHello: false })))
    for (const peer of peers) {
      peer.write(headOf(TEXT, FRAME))
      peer.write('x'.repeat(FRAME - 1))
    }
    await quiet(peers[0]!)
    return peers
  })
)

t.test('helloMs: a client that sends its hello byte by byte is disconnected', async t => {
  const peer = await open('/hasty', { sendsHello: false })
  peer.write(headOf(TEXT, 1000))
  const trickle = setInterval(() => peer.write('x'), 10)
  t.match(await victim.whileAlive(peer.closed), {
    code: 1009,
    reason: /^limit: no hello was received within/
  })
  clearInterval(trickle)
})

/** Calls until the server stops processing: later messages wait there. */
async function fill(peer: RawPeer, ...call: unknown[]): Promise<void> {
  await peer.ping()
  for (let i = 0; i < 30; i++) peer.send([[Op.call, ++peer.lastCallId, 0, ...call]])
  await quiet(peer)
}

/** Waits until no more messages arrive. */
async function quiet(peer: RawPeer): Promise<void> {
  for (let came = -1; came < peer.bytesReceived; ) {
    came = peer.bytesReceived
    await delay(20)
    await bystander.root.told()
  }
}

t.test('replies that are not acknowledged or not read', async t => {
  // Text beyond Latin-1 takes two bytes for a character in memory, and three on a socket.
  const most = 2 * (bufferedBytes + jsonBytes) + 3 * jsonBytes
  await pushes(t, most, async () => {
    const peer = await open('/', { acknowledges: false })
    await fill(peer, 'text', [150_000])
    return [peer]
  })
  await pushes(t, most, async () => {
    const peer = await open('/', { acknowledges: false })
    await peer.ping()
    peer.pause()
    for (let i = 0; i < 30; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'text', [150_000]]])
    await quiet(peer)
    return [peer]
  })
})

t.test('late answers: twice as much', t =>
  pushes(t, 2 * (2 * bufferedBytes + jsonBytes) + 3 * jsonBytes, async () => {
    const peer = await open('/', { acknowledges: false, recordsMessages: true })
    for (let i = 0; i < 60; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'later', []]])
    await peer.ping()
    await bystander.root.settleAll(150_000)
    const [, , code] = await peer.reply(60)
    t.equal(code, 'limit')
    peer.messages.length = 0
    return [peer]
  })
)

t.test('values of unacknowledged answers', t =>
  pushes(t, 2 * bufferedBytes + 2 * PARSED * jsonBytes, async () => {
    const peer = await open('/', { acknowledges: false })
    await peer.ping()
    const lists = `[[${'{},'.repeat(75_000)}0]]`
    for (let i = 0; i < 10; i++) peer.send([`[${Op.call},${++peer.lastCallId},0,"echo",${lists}]`])
    await quiet(peer)
    return [peer]
  })
)

t.test('pauseMs: a client that calls and reads nothing is disconnected', async t => {
  const peer = await open('/hasty', { acknowledges: false })
  await fill(peer, 'text', [150_000])
  t.match(await victim.whileAlive(peer.closed), { reason: /^peer-not-reading/ })
})

t.test('calls to a peer that does not read', t =>
  pushes(t, 2 * bufferedBytes + 4 * jsonBytes, async () => {
    const peer = await open('/', { acknowledges: false })
    await peer.ask(Op.call, 0, 'echo', [1])
    peer.pause()
    peer.send([[Op.call, ++peer.lastCallId, 0, 'flood', [[1, 'listen'], 200, 50_000], [['f', [0]]]]])
    await quiet(peer)
    return [peer]
  })
)

t.test('operands of waiting calls: twice bufferedBytes, and one more', async t => {
  await pushes(t, 2 * (2 * bufferedBytes + jsonBytes), async () => {
    const peer = await open('/', { recordsMessages: true })
    for (let i = 0; i < 60; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'later', [wide(150_000)]]])
    t.equal((await peer.message(([op]) => op === Op.refused))[2], 'limit')
    await peer.ping()
    return [peer]
  })
  await pushes(t, 2 * bufferedBytes + PARSED * jsonBytes, async () => {
    const peer = await open('/', { recordsMessages: true })
    const lists = `[[${'{},'.repeat(150_000)}0]]`
    for (let i = 0; i < 3; i++) peer.send([`[${Op.call},${++peer.lastCallId},0,"later",${lists}]`])
    t.equal((await peer.message(([op]) => op === Op.refused))[2], 'limit')
    await peer.ping()
    return [peer]
  })
})

/** A call that stays pending, with arguments given as JSON. */
const later = (peer: RawPeer, args: string, groups = '') =>
  peer.send([`[${Op.call},${++peer.lastCallId},0,"later",[${args}]${groups}]`])
const LONG = wide(150_000)
const HIDDEN: Record<string, (peer: RawPeer, i: number) => void> = {
  'a URL': peer => later(peer, `"http://a/?${'x'.repeat(300_000)}"`, ',[["URL",[0]]]'),
  'an Error': peer => later(peer, `{"class":"Error","name":"E","message":"${LONG}"}`, ',[["e",[0]]]'),
  'a cause': peer =>
    later(peer, `{"class":"Error","name":"E","message":"","cause":"${LONG}"}`, ',[["e",[0]]]'),
  'a name': peer => peer.send([`[${Op.get},${++peer.lastCallId},-1,"${LONG}"]`]),
  'a name in a one-way call': peer => peer.send([`[${Op.oneway},0,-1,"${LONG}",[]]`]),
  'a reason': peer => {
    peer.send([[Op.call, ++peer.lastCallId, 0, 'signalled', []]])
    peer.send([[Op.cancel, peer.lastCallId, LONG]])
  },
  'the end of an iterator': (peer, i) => peer.send([[Op.ended, i + 1, 1, LONG]]),
  'what a promise comes to': (peer, i) => peer.send([[Op.ended, 100 + i, 1, LONG]]),
  'why a signal aborts': (peer, i) => peer.send([[Op.ended, 200 + i, 0, LONG]])
}

t.test('hidden weight: in values, beside them, and after them', async t => {
  const flows = (kind: string, from: number) => times(30, i => [from + i, kind])
  for (const [name, make] of Object.entries(HIDDEN)) {
    t.comment(name)
    // The stack of an error repeats its message.
    const copies = name === 'an Error' ? 2 : 1
    await pushes(t, 2 * copies * (2 * bufferedBytes + jsonBytes), async () => {
      const peer = await open('/', { recordsMessages: true })
      const args = [flows('iterator', 1), flows('promise', 100), flows('signal', 200)]
      const groups = args.map((_, k) => ['ipa'[k], ...times(30, i => [k, i])])
      peer.send([[Op.call, ++peer.lastCallId, 0, 'later', args, groups]])
      for (let i = 0; i < 30; i++) {
        make(peer, i)
        await peer.ping()
      }
      return [peer]
    })
  }
})

t.test('arguments of failed calls are not kept with their errors', t =>
  pushes(
    t,
    2 * jsonBytes,
    async () => {
      const peer = await open('/', { acknowledges: false })
      for (let i = 0; i < 30; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'fail', [LONG]]])
      await quiet(peer)
      return [peer]
    },
    Number.NEGATIVE_INFINITY
  )
)

t.test('items that wait to be read', t =>
  pushes(t, PARSED * bufferedBytes, async () => {
    const peer = await open('/', { recordsMessages: true })
    peer.send([
      [
        Op.call,
        ++peer.lastCallId,
        0,
        'later',
        times(30, i => [i + 1, 'iterator']),
        [['i', ...times(30, i => [i])]]
      ]
    ])
    for (let i = 0; i < 30; i++) {
      peer.send([`[${Op.items},${i + 1},0,[[${'{},'.repeat(75_000)}0]]]`])
      await peer.ping()
    }
    return [peer]
  })
)

t.test('small frames that wait: as much again', t =>
  pushes(t, 2 * (bufferedBytes + jsonBytes) + 3 * jsonBytes + 2 * FRAME, async () => {
    const peer = await open('/', { acknowledges: false })
    await fill(peer, 'text', [150_000])
    const small = webSocketFrame(TEXT, '[0,[]]')
    const many = Buffer.concat(times(10_000, () => small))
    for (let i = 0; i < 60; i++) peer.write(many)
    await quiet(peer)
    return [peer]
  })
)

t.test('frames that wait: the size of one frame, and one more', t =>
  pushes(t, 2 * (bufferedBytes + jsonBytes) + 3 * jsonBytes + 2 * FRAME, async () => {
    const peer = await open('/', { acknowledges: false })
    await fill(peer, 'text', [150_000])
    for (let i = 0; i < 60; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'echo', ['x'.repeat(400_000)]]])
    await quiet(peer)
    return [peer]
  })
)

t.test('one frame that is being read', async t => {
  await pushes(t, FRAME, async () => {
    const peer = await open()
    await peer.ping()
    peer.write(headOf(TEXT, FRAME))
    peer.write('x'.repeat(FRAME - 1))
    return [peer]
  })
  const peer = await open()
  peer.write(headOf(TEXT, FRAME + 1))
  t.match(await peer.closed, { code: 1009 })
})

t.test('streams: limits.values of one message; waiting operands weigh what they cost', async t => {
  const streams = (peer: RawPeer, count: number) => [
    [times(count, i => [peer.lastCallId * 1000 + i + 1, 'stream'])],
    [['r', ...times(count, i => [0, i])]]
  ]
  const most = Math.floor(LIMITS.values / 12)
  await pushes(t, 2 * bufferedBytes + most * 4 * KiB, async () => {
    const peer = await open('/', { recordsMessages: true })
    for (let i = 0; i < 20; i++) {
      peer.send([[Op.call, ++peer.lastCallId, 0, 'later', ...streams(peer, most)]])
      await peer.ping()
    }
    t.equal((await peer.message(([op]) => op === Op.refused))[2], 'limit')
    return [peer]
  })
  const peer = await open()
  peer.send([[Op.call, ++peer.lastCallId, 0, 'later', ...streams(peer, most + 1)]])
  t.match(await victim.whileAlive(peer.closed), { code: 1009, reason: /limits\.values/ })
})

t.test('references with long names, which are cut', t =>
  pushes(
    t,
    2 * jsonBytes,
    async () => {
      const peer = await open('/', { recordsMessages: true })
      const name = 'x'.repeat(jsonBytes - KiB)
      for (let i = 1; i <= 30; i++) await peer.ask(Op.call, 0, 'keep', [[i, name]], [['f', [0]]])
      return [peer]
    },
    Number.NEGATIVE_INFINITY
  )
)

t.test('references in both directions: less than 1 KiB each', async t => {
  await pushes(t, LIMITS.exports * KiB, async () => {
    const peer = await open('/', { recordsMessages: true })
    for (let i = 0; i <= LIMITS.exports / 1000; i++) await peer.call('make', 1000)
    t.match(peer.messages.at(-1), [Op.refused, peer.lastCallId, 'limit'])
    peer.messages.length = 0
    return [peer]
  })
  await pushes(t, LIMITS.imports * KiB, async () => {
    const peer = await open('/', { recordsMessages: true })
    for (let i = 0; i <= LIMITS.imports / 1000; i++) {
      const functions = times(1000, k => [i * 1000 + k + 1, 'f'])
      await peer.ask(Op.call, 0, 'keep', functions, [['f', ...times(1000, k => [k])]])
    }
    t.match(peer.messages.at(-1), [Op.refused, peer.lastCallId, 'limit'])
    return [peer]
  })
})

t.test('pending calls: less than 1 KiB each', t =>
  pushes(t, LIMITS.pendingCalls * KiB, async () => {
    const peer = await open('/', { recordsMessages: true })
    for (let i = 0; i <= LIMITS.pendingCalls / 1000; i++) {
      peer.send(times(1000, () => [Op.call, ++peer.lastCallId, 0, 'later', []]))
      await peer.ping()
    }
    const refused = await peer.message(([op]) => op === Op.refused)
    t.match(refused, [Op.refused, LIMITS.pendingCalls + LIMITS.pendingCalls / 1000 + 1, 'limit'])
    return [peer]
  })
)

t.test(
  'an interrupted session keeps its buffers for resumeWindow, and ends at once beyond the limit',
  async t => {
    await pushes(t, 2 * (bufferedBytes + jsonBytes) + 3 * jsonBytes, async () => {
      const peer = await open('/away', { acknowledges: false })
      await fill(peer, 'text', [150_000])
      peer.reset()
      return [peer]
    })
    const { limit: before = 0 } = await bystander.root.reasons()
    const peer = await open('/away', { acknowledges: false })
    for (let i = 0; i < 40; i++) peer.send([[Op.call, ++peer.lastCallId, 0, 'later', []]])
    await peer.ping()
    peer.reset()
    await bystander.root.settleAll(150_000)
    await told(
      () => bystander.root.reasons(),
      ({ limit }) => limit === before + 1
    )
    t.pass('and more ends it at once')
    await nobody()
  }
)

t.test('results of calls with idempotency keys: others keep half of the store', async t => {
  const as = (name: string) => open('/keyed', { recordsMessages: true, headers: { 'x-name': name } })
  await pushes(t, KEPT / 2, async () => {
    const peer = await as('ann')
    for (let i = 0; i < 200; i++) {
      peer.send([[Op.idempotent, `k${i}`, Op.call, ++peer.lastCallId, 0, 'text', [60_000]]])
      await peer.reply(peer.lastCallId)
      peer.messages.length = 0
    }
    return [peer]
  })
  const peer = await as('bob')
  peer.send([[Op.idempotent, 'k', Op.call, ++peer.lastCallId, 0, 'text', [9]]])
  t.equal((await peer.reply(peer.lastCallId))[0], Op.result)
  await peer.end()
})

t.test('the server exits when told to', async t => {
  const { report, exit } = await victim.end()
  t.match(report, { left: 0, faults: [] })
  await bystander.closed
  t.same(exit, [0, null])
})
