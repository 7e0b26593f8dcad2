/* c8 ignore start: attacks are drawn: those that no run has drawn this time are no fault. */
// Defines the attacks of hostile peers beyond malformed frames: how they read, acknowledge, call and disconnect.
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fc, { type Arbitrary } from 'fast-check'
import { Op } from '../../lib/protocol/messages.js'
import { NAMES, SECRET } from './fixtures/private-service.js'
import { referenceIdsIn, resumption } from './grammar.js'
import {
  BINARY,
  headOf,
  hello,
  PING,
  RawPeer,
  type RawPeerOptions,
  TEXT,
  upgradeAnswer,
  upgradeRequest,
  webSocketFrame
} from './raw-peer.js'
import type { TargetProcess } from './target-process.js'

/** An attack and its parameters, as JSON, so that a failed attack can be printed and repeated. */
export interface Attack {
  readonly name: string
  readonly with: unknown
}

/** An attacker with all its sockets. */
export abstract class Attacker {
  /** Inputs so far: frames of any size, and attempts to open a socket. */
  inputs = 0
  readonly #peers: RawPeer[] = []
  #leakedText: string | undefined

  /** Opens a session with the service at a path. @throws Error if the other end refuses it */
  abstract open(offer: string, options?: RawPeerOptions): Promise<RawPeer>
  /** Opens a TCP connection; nothing is sent yet. */
  abstract dial(options?: RawPeerOptions): Promise<RawPeer>

  /** Searches received bytes for the secret. */
  protected watchForSecret(peer: RawPeer): RawPeer {
    this.inputs++
    this.#peers.push(peer)
    let tail = ''
    peer.socket.on('data', (data: Buffer) => {
      const seen = tail + data.toString('latin1')
      const at = seen.indexOf(SECRET)
      if (at >= 0) this.#leakedText ??= seen.slice(Math.max(at - 200, 0), at + 100)
      tail = seen.slice(1 - SECRET.length)
    })
    return peer
  }

  /** Closes all sockets. @returns the number of inputs @throws Error if the secret was received */
  async disconnect(): Promise<number> {
    for (const peer of this.#peers) {
      this.inputs += peer.framesSent
      await peer.end()
    }
    if (this.#leakedText) throw new Error(`it was told a secret: ${this.#leakedText}`)
    return this.inputs
  }
}

/** A client that attacks a server. */
class AttackingClient extends Attacker {
  constructor(private readonly url: string) {
    super()
  }

  async dial(options: RawPeerOptions = {}): Promise<RawPeer> {
    return this.watchForSecret(await RawPeer.dial(this.url, options))
  }

  async open(path: string, options: RawPeerOptions = {}): Promise<RawPeer> {
    const peer = await this.dial({ path, ...options })
    await peer.upgrade()
    if (options.sendsHello ?? true) peer.send([hello()])
    return peer
  }
}

/** A server that attacks a client, which connects when it is told to. */
class AttackingServer extends Attacker {
  #visits: Promise<unknown>[] = []

  constructor(
    private readonly target: TargetProcess,
    private readonly sockets: Server
  ) {
    super()
  }

  /** Resolves when the client has connected, or reconnected. */
  async nextConnection(options: RawPeerOptions = {}): Promise<RawPeer> {
    const [socket] = await once(this.sockets, 'connection')
    return this.watchForSecret(RawPeer.accept(socket, options))
  }

  dial(options: RawPeerOptions = {}, offer = '/world'): Promise<RawPeer> {
    const { port } = this.sockets.address() as AddressInfo
    this.target.send({ visit: `ws://127.0.0.1:${port}`, offer })
    this.#visits.push(this.target.nextMessage())
    return this.nextConnection(options)
  }

  async open(offer: string, options: RawPeerOptions = {}): Promise<RawPeer> {
    const peer = await this.dial(options, offer)
    await peer.upgrade()
    await peer.message(([op]) => op === Op.hello)
    if (options.sendsHello ?? true) peer.send([hello()])
    return peer
  }

  override async disconnect(): Promise<number> {
    const left = super.disconnect()
    this.target.send('leave')
    await Promise.all([left, ...this.#visits])
    return left
  }
}

/** Waits until the peer has processed all messages; it may have stopped at a limit, or be gone. */
const settled = (peer: RawPeer) => peer.ping().catch(() => {})
const times = <T>(count: number, item: (i: number) => T) => Array.from({ length: count }, (_, i) => item(i))
const listOf = (count: number, item: (i: number) => unknown) => times(count, item).join()
/** A message with a number of values of one kind. */
const messageWithMany = (op: string, tag: string, count: number, value: (i: number) => unknown) =>
  `[${op},[[${listOf(count, i => JSON.stringify(value(i)))}]],[[${tag},${listOf(count, i => `[0,${i}]`)}]]]`

interface AttackKind<By extends Attacker, Params> {
  readonly params: Arbitrary<Params>
  run(attacker: By, params: Params): Promise<void>
}
const defineAttack = <By extends Attacker, Params>(
  params: Arbitrary<Params>,
  run: AttackKind<By, Params>['run']
): AttackKind<By, Params> => ({ params, run })

const UPGRADE_HEADERS_BY_PATH = {
  '/world': {},
  '/vault': { Upgrade: 'websocket', Origin: 'http://evil.example' },
  '/door': {},
  '/nobody': {},
  '/none': {},
  '/world?bad': { 'Sec-WebSocket-Key': 'short' },
  '/world?h2c': { Upgrade: 'h2c' }
} as const
const upgradePath = fc.constantFrom(
  ...(Object.keys(UPGRADE_HEADERS_BY_PATH) as (keyof typeof UPGRADE_HEADERS_BY_PATH)[])
)
const frame = (kind: number, text: string) =>
  Buffer.concat([headOf(kind, Buffer.byteLength(text)), Buffer.from(text)])
const openingBytes = (path: keyof typeof UPGRADE_HEADERS_BY_PATH) =>
  Buffer.concat([
    Buffer.from(upgradeRequest(path, UPGRADE_HEADERS_BY_PATH[path])),
    ...(path === '/door' ? [frame(TEXT, '{"token":"ada"}')] : []),
    frame(TEXT, JSON.stringify([0, [hello()]])),
    frame(TEXT, '[0,[[1,1,0,"numbers",[9]]]]')
  ])
const MAX_OPENING_BYTES = 700
/** Ways to end a socket. */
const endings = fc.constantFrom('reset', 'end', 'half-close', 'stay')
async function endSocket(way: string, peer: RawPeer): Promise<void> {
  if (way === 'reset') peer.reset()
  else if (way === 'end') peer.socket.destroy()
  else if (way === 'half-close') peer.socket.end()
  else await turn()
}

const symbols = fc.constantFrom(['well-known', 'iterator'], ['well-known', 'asyncIterator'], ['for', 'x'])
const names = fc.array(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...NAMES) }, { weight: 1, arbitrary: symbols }),
  {
    maxLength: 3
  }
)
const step = fc.record({
  op: fc.constantFrom(
    Op.call,
    Op.call,
    Op.call,
    Op.get,
    Op.get,
    Op.keys,
    Op.describe,
    Op.obtain,
    Op.obtain,
    Op.iterate,
    Op.construct,
    Op.has,
    Op.streamCall,
    Op.set,
    Op.delete
  ),
  /** The table, and the distance from its end. */
  at: fc.constantFrom('root', 'given', 'given', 'given', 'answer'),
  n: fc.nat(6),
  path: names
})

/** Attacks of a client on a server. */
const clientAttacks = {
  'reset at a byte of the handshake': defineAttack(
    fc.record({ path: upgradePath, at: fc.nat(MAX_OPENING_BYTES), way: endings }),
    async (attacker: Attacker, { path, at, way }) => {
      const peer = await attacker.dial()
      const bytes = openingBytes(path)
      await new Promise(sent => peer.socket.write(bytes.subarray(0, at % (bytes.length + 1)), sent))
      await endSocket(way, peer)
    }
  ),
  'a handshake in pieces': defineAttack(
    fc.record({
      path: upgradePath,
      sizes: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 9 }),
      way: endings
    }),
    async (attacker: Attacker, { path, sizes, way }) => {
      const peer = await attacker.dial()
      let bytes = openingBytes(path)
      for (const size of sizes) {
        peer.write(bytes.subarray(0, size))
        bytes = bytes.subarray(size)
        await turn()
      }
      await endSocket(way, peer)
    }
  ),
  'requests that open no socket': defineAttack(
    fc.record({
      line: fc.constantFrom(
        'GET / HTTP/1.1',
        'POST /world HTTP/1.1',
        'GET /world HTTP/9.9',
        'PRI * HTTP/2.0',
        '\0\0\0',
        'GET http://x/world HTTP/1.1',
        'GET //world HTTP/1.1'
      ),
      headers: fc.array(
        fc.constantFrom(
          'Upgrade: websocket',
          'Upgrade: h2c',
          'Connection: Upgrade',
          'Host: x',
          'Host: y',
          'Origin: null',
          'Sec-WebSocket-Version: 99',
          'Transfer-Encoding: chunked',
          'Content-Length: -1',
          'Forwarded: for="[::',
          'X-Forwarded-For: ,,,',
          'Cookie: =;=;;a'
        ),
        { maxLength: 6 }
      ),
      rest: fc.string({ maxLength: 20 }),
      way: endings
    }),
    async (attacker: Attacker, { line, headers, rest, way }) => {
      const peer = await attacker.dial()
      peer.write([line, ...headers, '', rest].join('\r\n'))
      await turn()
      await endSocket(way, peer)
    }
  ),
  'half a hello': defineAttack(
    fc.record({ at: fc.nat(150), frames: fc.nat(3), way: endings }),
    async (attacker: Attacker, { at, frames, way }) => {
      const peer = await attacker.open('/world', { sendsHello: false })
      const whole = frame(TEXT, JSON.stringify([0, [hello()]]))
      if (frames === 0) peer.write(whole.subarray(0, at % whole.length))
      else {
        // A frame in fragments, the last of which is missing.
        const size = Math.ceil(whole.length / frames)
        for (let i = 0; i < frames; i++)
          peer.write(
            Buffer.concat([headOf(i ? 0 : TEXT, size, false), whole.subarray(i * size, (i + 1) * size)])
          )
      }
      await turn()
      await endSocket(way, peer)
    }
  ),
  'comes back, as itself and as others': defineAttack(
    fc.record({
      count: fc.constantFrom(0, 1, 2, 99),
      twice: fc.boolean(),
      way: endings,
      at: fc.nat(MAX_OPENING_BYTES),
      bad: fc.option(resumption)
    }),
    async (attacker: Attacker, { count, twice, way, at, bad }) => {
      const peer = await attacker.open('/world', { acknowledges: false })
      const [, , , token] = await peer.message(([op]) => op === Op.hello)
      peer.send(
        [
          [Op.call, 1, 0, 'make', [3]],
          [Op.call, 2, 0, 'numbers', [9]]
        ],
        0
      )
      await peer.reply(2)
      peer.reset()
      const resume = bad ?? JSON.stringify(['resume', token, count])
      for (let i = twice ? 2 : 1; i > 0; i--) {
        const next = await attacker.dial({ path: '/world' })
        const bytes = Buffer.concat([
          Buffer.from(upgradeRequest('/world')),
          frame(TEXT, resume),
          frame(TEXT, '[1,[[8,9]]]')
        ])
        next.write(way === 'stay' ? bytes : bytes.subarray(0, at % bytes.length))
        await turn()
        await endSocket(way, next)
      }
    }
  ),
  'comes and goes': defineAttack(
    fc.record({
      sockets: fc.integer({ min: 1, max: 20 }),
      path: fc.constantFrom('/world', '/door', '/nobody', '/none'),
      way: endings
    }),
    async (attacker: Attacker, { sockets, path, way }) => {
      await Promise.all(
        times(sockets, async () => {
          const peer = await attacker.dial({ path })
          peer.write(openingBytes(path))
          await Promise.race([once(peer.socket, 'data'), peer.closed])
          await endSocket(way, peer)
        })
      )
    }
  )
}

/** Attacks of a server on a client. */
const serverAttacks = {
  'answers badly who asks for a socket': defineAttack(
    fc.record({
      answer: fc.constantFrom(
        '',
        'x',
        '\0'.repeat(99),
        'HTTP/1.1 200 OK\r\n\r\n',
        'HTTP/1.1 101 Switching Protocols\r\n\r\n',
        'HTTP/1.1 401 Unauthorized\r\nContent-Length: 99999\r\n\r\nx',
        'HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\n\r\n',
        `HTTP/1.1 503 \u0007\r\n\r\n${'x'.repeat(9999)}`,
        `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(3000)}`
      ),
      way: endings
    }),
    async (host: AttackingServer, { answer, way }) => {
      const peer = await host.dial()
      await once(peer.socket, 'data')
      peer.write(answer)
      await turn()
      await endSocket(way === 'stay' ? 'reset' : way, peer)
    }
  ),
  'resets at a byte of its answer': defineAttack(
    fc.record({ at: fc.nat(300), way: endings, resumable: fc.boolean() }),
    async (host: AttackingServer, { at, way, resumable }) => {
      const peer = await host.dial()
      await once(peer.socket, 'data')
      const greeting = JSON.stringify([0, [hello({}, ...(resumable ? ['1.secret', 1000] : []))]])
      const bytes = Buffer.concat([
        Buffer.from(upgradeAnswer(peer.httpHead)),
        webSocketFrame(TEXT, greeting, true, false)
      ])
      await new Promise(sent => peer.socket.write(bytes.subarray(0, at % (bytes.length + 1)), sent))
      await endSocket(way, peer)
    }
  ),
  'takes it back badly': defineAttack(
    fc.record({
      said: resumption,
      count: fc.constantFrom('0', '1', '99'),
      honest: fc.boolean(),
      way: endings
    }),
    async (host: AttackingServer, { said, count, honest, way }) => {
      const peer = await host.open('/world', { sendsHello: false })
      peer.send([hello({}, '1.secret', 1000)])
      await turn()
      const again = host.nextConnection()
      peer.reset()
      const next = await again
      await once(next.socket, 'data')
      next.write(upgradeAnswer(next.httpHead))
      next.text(honest ? `["resumed","1.secret",${count}]` : said)
      next.text('[0,[[8,9]]]')
      await turn()
      await endSocket(way, next)
    }
  )
}

/** Attacks of either on the other. */
const symmetricAttacks = {
  'frames in fragments, and pings among them': defineAttack(
    fc.record({
      parts: fc.integer({ min: 1, max: 300 }),
      pings: fc.boolean(),
      final: fc.boolean(),
      way: endings
    }),
    async (attacker: Attacker, { parts, pings, final, way }) => {
      const peer = await attacker.open('/world')
      const call = Buffer.from(`[0,[[1,1,0,"echo",["${'x'.repeat(parts * 3)}"]]]]`)
      const size = Math.ceil(call.length / parts)
      for (let i = 0; i < parts; i++) {
        const part = call.subarray(i * size, (i + 1) * size)
        const last = final && i === parts - 1
        peer.write(Buffer.concat([peer.head(i ? 0 : TEXT, part.length, last), part]))
        attacker.inputs++
        if (pings) peer.webSocket(PING, 'x'.repeat(i % 126))
      }
      if (final) await peer.reply(1).catch(() => {})
      await endSocket(way, peer)
    }
  ),
  'a frame that is longer than it may be': defineAttack(
    fc.record({
      kind: fc.constantFrom(TEXT, BINARY),
      length: fc.constantFrom(2 ** 24, 2 ** 25, 2 ** 31, 2 ** 40),
      greets: fc.boolean()
    }),
    async (attacker: Attacker, { kind, length, greets }) => {
      const peer = await attacker.open('/world', { sendsHello: greets })
      attacker.inputs++
      peer.write(peer.head(kind, length))
      peer.write(Buffer.alloc(10_000))
      await turn()
    }
  ),
  'looks for what is private': defineAttack(
    fc.record({ steps: fc.array(step, { minLength: 10, maxLength: 60 }) }),
    async (attacker: Attacker, { steps }) => {
      const peer = await attacker.open('/vault')
      const given: number[] = []
      let read = 0
      for (const { op, at, n, path } of steps) {
        while (read < peer.messages.length) given.push(...referenceIdsIn(peer.messages[read++]!))
        const target =
          at === 'root' ? 0 : at === 'given' ? (given.at(-1 - n) ?? 0) : -Math.max(peer.lastCallId - n, 1)
        const rest =
          op === Op.call || op === Op.construct ? [[]] : op === Op.set || op === Op.streamCall ? [1] : []
        const reply = peer.ask(op, target, op === Op.streamCall ? (path[0] ?? 'next') : path, ...rest)
        if (given.length > 0) peer.send([[Op.pull, given.at(-1)!, 0, 100]])
        // A stream without items gets no reply.
        await Promise.race([reply.catch(() => {}), settled(peer)])
        if (peer.isClosed) return
      }
      for (let i = 0; i < 3; i++) await settled(peer)
    }
  ),
  'hands back what it was given': defineAttack(
    fc.record({ makes: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 8 }) }),
    async (attacker: Attacker, { makes }) => {
      const peer = await attacker.open('/vault')
      for (const name of makes) {
        await peer.call(name).catch(() => {})
        if (peer.isClosed) return
        const given = [0, ...new Set(peer.messages.flatMap(referenceIdsIn))]
        // Sends them in a list, to a method that calls back, and to themselves.
        peer.send([
          [Op.call, ++peer.lastCallId, 0, 'echo', [given], [['h', ...given.map((_, i) => [0, i])]]],
          [Op.call, ++peer.lastCallId, 0, 'tell', [[1, 'callback']], [['f', [0]]]],
          [Op.call, ++peer.lastCallId, given.at(-1), 'call', [0, 0], [['h', [0], [1]]]]
        ])
        await settled(peer)
      }
    }
  ),
  'counts one by one': defineAttack(
    fc.record({
      calls: fc.integer({ min: 1, max: 300 }),
      size: fc.constantFrom(1, 100, 4000),
      backwards: fc.boolean()
    }),
    async (attacker: Attacker, { calls, size, backwards }) => {
      const peer = await attacker.open('/world', { acknowledges: false })
      const text = 'x'.repeat(size)
      for (let i = 0; i < calls; i++) {
        peer.send([[Op.call, ++peer.lastCallId, 0, 'echo', [text]]], 0)
        if (i % 20 === 19) await turn()
      }
      await peer.reply(peer.lastCallId).catch(() => {})
      for (let i = 0; i <= peer.framesReceived && !peer.isClosed; i++) {
        attacker.inputs++
        peer.text(`[${backwards ? peer.framesReceived - i : i}]`)
      }
      await settled(peer)
    }
  ),
  'never counts': defineAttack(
    fc.record({ calls: fc.integer({ min: 1, max: 300 }), size: fc.constantFrom(1, 100, 4000), way: endings }),
    async (attacker: Attacker, { calls, size, way }) => {
      const peer = await attacker.open('/world', { acknowledges: false })
      for (let i = 0; i < calls; i++) {
        peer.send([[Op.call, ++peer.lastCallId, 0, 'echo', ['x'.repeat(size)]]], 0)
        if (i % 20 === 19) await turn()
      }
      await peer.reply(peer.lastCallId).catch(() => {})
      await endSocket(way, peer)
    }
  ),
  'asks and does not read': defineAttack(
    fc.record({
      calls: fc.integer({ min: 1, max: 300 }),
      size: fc.constantFrom(1, 1000, 60_000),
      way: endings,
      reads: fc.boolean()
    }),
    async (attacker: Attacker, { calls, size, way, reads }) => {
      const peer = await attacker.open('/world', { recordsMessages: false })
      peer.pause()
      for (let i = 0; i < calls && !peer.isClosed; i++)
        if (!peer.send([[Op.call, ++peer.lastCallId, 0, 'echo', ['x'.repeat(size)]]], 0)) await turn()
      if (reads) peer.resume()
      await endSocket(way, peer)
    }
  ),
  'asks for nothing but acknowledgements': defineAttack(
    fc.record({ asks: fc.integer({ min: 1, max: 500 }), reads: fc.boolean() }),
    async (attacker: Attacker, { asks, reads }) => {
      const peer = await attacker.open('/world', { acknowledges: false })
      if (!reads) peer.pause()
      for (let i = 0; i < asks; i++) {
        attacker.inputs++
        peer.text('[0,1]')
      }
      peer.resume()
      await settled(peer)
    }
  ),
  'gives back nothing, and all of it many times': defineAttack(
    fc.record({
      of: fc.constantFrom('promise', 'open', 'numbers', 'signal', 'make'),
      times: fc.constantFrom(1, 10, 1000, 60_000),
      receipts: fc.constantFrom(0, 0, 1, 2)
    }),
    async (attacker: Attacker, { of, times, receipts }) => {
      const peer = await attacker.open('/world')
      const reply = await peer.call(of, 'x'.repeat(1000)).catch(() => undefined)
      const [id = 1] = reply ? referenceIdsIn(reply) : []
      peer.send([`[13${`,${id},${receipts}`.repeat(times)}]`])
      peer.send(Array(Math.min(times, 100)).fill([Op.release, id, receipts]))
      await settled(peer)
    }
  ),
  'pulls what has ended': defineAttack(
    fc.record({
      items: fc.integer({ min: 1, max: 20 }),
      pulls: fc.constantFrom(1, 10, 1000, 60_000),
      ends: fc.boolean()
    }),
    async (attacker: Attacker, { items, pulls, ends }) => {
      const peer = await attacker.open('/world')
      const reply = await peer.call('numbers', items)
      const [id] = referenceIdsIn(reply)
      peer.send([[Op.pull, id, 0, 1000]])
      if (ends) await peer.message(([op, of]) => op === Op.ended && of === id).catch(() => {})
      peer.send(Array(pulls).fill([Op.pull, id, ends ? items : 0, 1000]))
      peer.send(Array(Math.min(pulls, 9)).fill([Op.pull, id, items]))
      await settled(peer)
    }
  ),
  'flows of its own in one message': defineAttack(
    fc.record({
      kind: fc.constantFrom('p', 'i', 'r', 'w', 'a'),
      count: fc.constantFrom(1, 100, 2000),
      to: fc.constantFrom('never', 'echo', 'keep', 'walk', 'none'),
      end: fc.constantFrom('settle', 'items', 'leave'),
      oneway: fc.boolean()
    }),
    async (attacker: Attacker, { kind, count, to, end, oneway }) => {
      const peer = await attacker.open('/world')
      const head = oneway ? '14,0' : `1,${++peer.lastCallId}`
      peer.send([
        messageWithMany(`${head},0,"${to}"`, `"${kind}"`, count, i => [
          i + 1,
          'flow',
          ...(kind === 'r' ? [0] : [])
        ])
      ])
      const ids = times(Math.min(count, 50), i => i + 1)
      if (end === 'settle') peer.send(ids.map(id => [Op.ended, id, id % 2, null]))
      if (end === 'items') peer.send(ids.map(id => [Op.items, id, 1, [1, 2, 3]]))
      await settled(peer)
    }
  ),
  'more items than were asked for': defineAttack(
    fc.record({
      frames: fc.integer({ min: 1, max: 50 }),
      items: fc.constantFrom(1, 100, 2000),
      to: fc.constantFrom('walk', 'keep', 'never')
    }),
    async (attacker: Attacker, { frames, items, to }) => {
      const peer = await attacker.open('/world')
      peer.send([[Op.call, ++peer.lastCallId, 0, to, [[1, 'iterator']], [['i', [0]]]]])
      for (let i = 0; i < frames; i++) peer.send([`[20,1,0,[${listOf(items, () => '"xxxx"')}]]`])
      await settled(peer)
    }
  ),
  'calls that never end': defineAttack(
    fc.record({ calls: fc.constantFrom(1, 50, 1000), size: fc.constantFrom(0, 1000), way: endings }),
    async (attacker: Attacker, { calls, size, way }) => {
      const peer = await attacker.open('/world')
      peer.send(times(calls, () => [Op.call, ++peer.lastCallId, 0, 'never', ['x'.repeat(size)]]))
      const first = peer.lastCallId
      peer.send(
        times(Math.min(calls, 100), i => [Op.call, ++peer.lastCallId, -(first - i), 'a', ['x'.repeat(size)]])
      )
      await settled(peer)
      await endSocket(way, peer)
    }
  ),
  'gives up with any reason': defineAttack(
    fc.record({
      reason: fc.constantFrom<readonly unknown[]>(
        [],
        [null],
        [0],
        [''],
        [[]],
        [{ a: 1 }],
        [null, [['undefined', []]]],
        [[1, 'fn'], [['f', []]]]
      ),
      how: fc.constantFrom('cancel', 'signal', 'throw')
    }),
    async (attacker: Attacker, { reason, how }) => {
      const peer = await attacker.open('/world')
      if (how === 'signal') {
        peer.send([[Op.call, ++peer.lastCallId, 0, 'signal', [[1, 'signal']], [['a', [0]]]]])
        peer.send([[Op.ended, 1, 0, ...reason]])
      } else if (how === 'cancel') {
        const id = ++peer.lastCallId
        peer.send([[Op.call, id, 0, 'listen', []]])
        peer.send([[Op.cancel, id, ...reason]])
      } else {
        const [id] = referenceIdsIn(await peer.call('numbers', 9))
        peer.send([[Op.streamCall, ++peer.lastCallId, id, 'throw', ...(reason.length ? reason : [null])]])
      }
      await settled(peer)
    }
  ),
  'what is dropped unsent': defineAttack(
    fc.record({
      name: fc.constantFrom('promise', 'rejected', 'open', 'numbers', 'signal', 'amidst'),
      how: fc.constantFrom('oneway', 'leaves', 'cancels', 'answer')
    }),
    async (attacker: Attacker, { name, how }) => {
      const peer = await attacker.open('/world')
      const id = ++peer.lastCallId
      if (how === 'oneway') peer.send([[Op.oneway, 0, 0, name, [1]]])
      else if (how === 'cancels')
        peer.send([
          [Op.call, id, 0, name, [1]],
          [Op.cancel, id]
        ])
      else peer.send([[Op.call, id, 0, name, [1]]])
      if (how === 'leaves') return peer.reset()
      if (how === 'answer') peer.send([[Op.get, ++peer.lastCallId, -id, 'a']])
      await settled(peer)
    }
  ),
  'arguments that name answers': defineAttack(
    fc.record({
      name: fc.constantFrom('never', 'later', 'echo', 'make', 'open', 'numbers', 'fail', 'promise'),
      count: fc.constantFrom(1, 100, 9000),
      calls: fc.constantFrom(1, 3, 20),
      around: fc.constantFrom('', 'm', 's', 't', 'o', 'fuzzed'),
      size: fc.constantFrom(1, 100_000),
      way: fc.constantFrom('stay', 'reset', 'cancel')
    }),
    async (attacker: Attacker, { name, count, calls, around, size, way }) => {
      const peer = await attacker.open('/world')
      const named = ++peer.lastCallId
      peer.send([[Op.call, named, 0, name, [['x'.repeat(size)]]]])
      const places = listOf(count, i => `[0,${i}]`)
      const tag = around === 'fuzzed' ? '["custom","fuzzed"]' : `"${around}"`
      const annotations = `[["n",${places}]${around && `,[${tag},[0]]`}]`
      for (let i = 0; i < calls && !peer.isClosed; i++)
        peer.send([
          `[${Op.call},${++peer.lastCallId},0,"keep",[[${listOf(count, () => named)}]],${annotations}]`
        ])
      if (way === 'cancel') for (let id = named; id < peer.lastCallId; id++) peer.send([[Op.cancel, id]])
      if (way === 'reset') peer.reset()
      else await settled(peer)
    }
  ),
  'refusals that nobody awaits': defineAttack(
    fc.record({
      count: fc.constantFrom(1, 100, 3000),
      name: fc.constantFrom('none', 'a\nb', '\u001b[2J', '\u202e', '\0', 'x'.repeat(5000))
    }),
    async (attacker: Attacker, { count, name }) => {
      const peer = await attacker.open('/world')
      peer.send(Array(count).fill([Op.oneway, 0, 0, name, []]))
      await settled(peer)
    }
  ),
  'members that are called to look at a value': defineAttack(
    fc.record({
      member: fc.constantFrom(
        'toJSON',
        'toString',
        'valueOf',
        'then',
        'inspect',
        'constructor',
        '__proto__',
        'nodeType'
      ),
      kind: fc.constantFrom('f', 'o'),
      deep: fc.boolean()
    }),
    async (attacker: Attacker, { member, kind, deep }) => {
      const peer = await attacker.open('/world')
      const value = `{"${member}":[1,"fn"],"a":1}`
      const place = deep ? [0, 'b', member] : [0, member]
      peer.send([
        `[1,${++peer.lastCallId},0,"audit",[${deep ? `{"b":${value}}` : value}],[["${kind}",${JSON.stringify(place)}]]]`
      ])
      await peer.reply(peer.lastCallId).catch(() => {})
      // Inspecting a value must not call its owner.
      const asked = peer.messages.find(([op, , target]) => (op === Op.call || op === Op.get) && target === 1)
      if (asked) throw new Error(`it was asked: ${JSON.stringify(asked)}`)
    }
  ),
  patterns: defineAttack(
    fc.record({
      of: fc.constantFrom(
        '\\p{L}',
        '(a|b)',
        '[^a]',
        '(?:a{9}){9}',
        '(a+)+',
        '(?<n>a)',
        '\\1',
        '.{1000}',
        'x'
      ),
      times: fc.constantFrom(1, 10, 1000),
      count: fc.constantFrom(1, 10, 1000),
      flags: fc.constantFrom('', 'g', 'iu', 'v', 'zz')
    }),
    async (attacker: Attacker, { of, times, count, flags }) => {
      const peer = await attacker.open('/world')
      const length = Math.min(of.length * times * count, 300_000) / count
      const text = `/${of.repeat(Math.max(Math.floor(length / of.length), 1))}/${flags}`
      peer.send([messageWithMany(`1,${++peer.lastCallId},0,"keep"`, '"regexp"', count, () => text)])
      await settled(peer)
    }
  ),
  'asks what there is in what is large': defineAttack(
    fc.record({
      op: fc.constantFrom(Op.keys, Op.obtain, Op.describe, Op.iterate, Op.get, Op.has),
      of: fc.constantFrom('large', 'bytes', 'dictionary', 'sparse', 'lists'),
      times: fc.constantFrom(1, 3)
    }),
    async (attacker: Attacker, { op, of, times: count }) => {
      const peer = await attacker.open('/world')
      peer.send(times(count, () => [op, ++peer.lastCallId, 0, [of]]))
      await settled(peer)
    }
  ),
  'keys for what is to run once': defineAttack(
    fc.record({
      count: fc.constantFrom(1, 20, 300),
      size: fc.constantFrom(1, 1000, 20_000),
      same: fc.boolean()
    }),
    async (attacker: Attacker, { count, size, same }) => {
      const peer = await attacker.open('/world')
      const value = 'x'.repeat(Math.min(size, 2_000_000 / count))
      peer.send(
        times(count, i => [
          Op.idempotent,
          same ? 'k' : `k${i}`,
          Op.call,
          ++peer.lastCallId,
          0,
          'once',
          [value]
        ])
      )
      await settled(peer)
    }
  ),
  'references without end': defineAttack(
    fc.record({
      count: fc.constantFrom(1, 100, 5000),
      kind: fc.constantFrom('o', 'f'),
      over: fc.boolean(),
      to: fc.constantFrom('keep', 'echo', 'none', 'tell')
    }),
    async (attacker: Attacker, { count, kind, over, to }) => {
      const peer = await attacker.open('/world')
      peer.send([
        messageWithMany(`1,${++peer.lastCallId},0,"${to}"`, `"${kind}"`, count, i => [over ? 1 : i + 1, 'it'])
      ])
      await settled(peer)
    }
  )
}

const anyAttack = (
  kinds: Record<string, AttackKind<never, unknown>>,
  except: readonly string[]
): Arbitrary<Attack> =>
  fc.oneof(
    ...Object.entries(kinds)
      .filter(([name]) => !except.includes(name))
      .map(([name, { params }]) => params.map(params => ({ name, with: params })))
  )
const attacksOnServers: Record<string, AttackKind<never, unknown>> = { ...clientAttacks, ...symmetricAttacks }
const attacksOnClients: Record<string, AttackKind<never, unknown>> = { ...serverAttacks, ...symmetricAttacks }

/** A random attack on a server, or on a client, except those with these names. */
export const attackOnServer = (except: readonly string[] = []) => anyAttack(attacksOnServers, except)
export const attackOnClient = (except: readonly string[] = []) => anyAttack(attacksOnClients, except)

/**
 * Runs an attack if it applies to that end.
 *
 * @returns the number of inputs
 * @throws Error if the other end misbehaved
 */
async function runAttack(attacker: Attacker, kinds: typeof attacksOnServers, { name, with: params }: Attack) {
  const kind = kinds[name] as unknown as AttackKind<Attacker, unknown> | undefined
  if (!kind) return 0
  try {
    await kind.run(attacker, params)
  } finally {
    await attacker.disconnect()
  }
  return attacker.inputs
}

export const attackServer = (url: string, made: Attack) =>
  runAttack(new AttackingClient(url), attacksOnServers, made)
export const attackClient = (victim: TargetProcess, sockets: Server, made: Attack) =>
  runAttack(new AttackingServer(victim, sockets), attacksOnClients, made)
