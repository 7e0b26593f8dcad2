// Clients that break RPyC's protocol, and mutated messages. NETREF_FUZZ sets their number.
import { once } from 'node:events'
import { connect } from 'node:net'
import { deflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { encodeBrine } from '../../../lib/gateways/rpyc/brine.js'
import { Channel, MSG_EXCEPTION, MSG_REPLY, MSG_REQUEST } from '../../../lib/gateways/rpyc/channel.js'
import { Handler } from '../../../lib/gateways/rpyc/protocol.js'
import { rpyc } from '../../../lib/gateways/rpyc.js'
import { type ServeOptions, type Server, Service, type Session, serve } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { assertClean, waitUntil } from '../../support/helpers.js'
import { openPeer, own, value } from '../../support/rpyc-peer.js'

class Target extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_same(it: unknown) {
    return it
  }
  exposed_record() {
    return { name: 'Ada', list: [1, 2], fn: () => 1 }
  }
  *exposed_count() {
    for (let n = 0; ; n++) yield n
  }
  async exposed_each(callback: (n: number) => unknown) {
    return await callback(1)
  }
}

/** A frame of RPyC 5. */
const frame = (body: Uint8Array, flag = 0): Buffer => {
  const header = Buffer.alloc(5)
  header.writeUInt32BE(body.length)
  header[4] = flag
  return Buffer.concat([header, body, Buffer.from('\n')])
}
const message = (...parts: unknown[]): Buffer => frame(encodeBrine(parts))
const GET_ROOT = message(MSG_REQUEST, 0, [Handler.getRoot, [1, []]])

/** Runs `use` with a server, then asserts that another client works, and that nothing is left of all clients. */
async function withServer(
  t: Test,
  use: (server: Server) => Promise<void>,
  options: ServeOptions = {}
): Promise<void> {
  const errors: unknown[] = []
  const server = await serve(Target, {
    port: 0,
    gateways: [rpyc()],
    onError: error => void errors.push(error),
    ...options
  })
  const sessions: Session[] = []
  server.on('session', session => sessions.push(session))
  try {
    await use(server)
    const peer = await openPeer(server)
    t.same(await peer.call(await peer.root(), 'add', [value(1), value(2)]), value(3), 'another client works')
    await peer.close()
    await waitUntil(() => server.sessions.size + server.metrics.gateways.rpyc!.clients === 0, 'no client')
    await assertClean(t, ...sessions)
    t.same(errors, [], 'nothing is reported')
  } finally {
    await server.close()
  }
}

/** Sends bytes, and resolves when the server has closed the connection. */
async function sendUntilClosed(server: Server, ...chunks: readonly Uint8Array[]): Promise<Buffer> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', data => received.push(data)).on('error', () => {})
  await once(socket, 'connect')
  for (const chunk of chunks) socket.write(chunk)
  await once(socket, 'close')
  return Buffer.concat(received)
}

t.test('what is not of the protocol ends that connection', async t => {
  const invalid: Record<string, Uint8Array[]> = {
    'no request of RPyC': [Buffer.from('GARBAGE GARBAGE\n')],
    'a message of the other version': [
      GET_ROOT,
      frame(Buffer.concat([Buffer.from([1]), encodeBrine([1, [3, [1, []]]])]))
    ],
    'an unknown message': [GET_ROOT, message(7, 1, [1, []])],
    'a number that is none': [GET_ROOT, message(MSG_REQUEST, 'x', [3, [1, []]])],
    'a reply to no request': [GET_ROOT, message(MSG_REPLY, 5, [1, null])],
    'an exception to no request': [GET_ROOT, message(MSG_EXCEPTION, 5, 1)],
    'a request without arguments': [GET_ROOT, message(MSG_REQUEST, 1, [3])],
    'a request that is no tuple': [GET_ROOT, message(MSG_REQUEST, 1, 3)],
    'arguments without a label': [GET_ROOT, message(MSG_REQUEST, 1, [4, []])],
    'arguments with an unknown label': [GET_ROOT, message(MSG_REQUEST, 1, [4, [9, []]])],
    'arguments that are no tuple': [GET_ROOT, message(MSG_REQUEST, 1, [4, [1, 5]])],
    'a tuple that is none': [GET_ROOT, message(MSG_REQUEST, 1, [4, [2, 5]])],
    'arguments that are a reference': [GET_ROOT, message(MSG_REQUEST, 1, [4, [3, ['a', 1, 1]]])],
    'a reference without ids': [GET_ROOT, message(MSG_REQUEST, 1, [4, [2, [[4, ['a', 'b', 'c']]]]])],
    'a reference without a name': [GET_ROOT, message(MSG_REQUEST, 1, [4, [2, [[4, [1, 2, 3]]]]])],
    'an inspection of nothing': [GET_ROOT, message(MSG_REQUEST, 1, [16, [1, []]])],
    'a long frame': [GET_ROOT, Buffer.from([0x7f, 0xff, 0xff, 0xff, 0])],
    'a count beyond the message': [
      GET_ROOT,
      frame(Buffer.from([0x12, 0x51, 0x51, 0x15, 0xff, 0xff, 0xff, 0xff]))
    ],
    'a deep message': [
      GET_ROOT,
      frame(Buffer.concat([Buffer.from([0x12, 0x51, 0x51]), Buffer.alloc(100_000, 0x10), Buffer.from([0])]))
    ],
    'a bomb': [GET_ROOT, frame(deflateSync(Buffer.alloc(64 << 20)), 1)],
    'no zlib': [GET_ROOT, frame(Buffer.from('nothing'), 1)]
  }
  await withServer(t, async server => {
    for (const [name, chunks] of Object.entries(invalid)) {
      await sendUntilClosed(server, ...chunks)
      t.pass(name)
    }
  })
})

t.test('a frame that is cut by the end of the connection, or does not go on', async t => {
  await withServer(
    t,
    async server => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
      socket.end(Buffer.concat([GET_ROOT, GET_ROOT.subarray(0, 7)]))
      await once(socket.resume(), 'close')
      await sendUntilClosed(server, GET_ROOT, GET_ROOT.subarray(0, 7))
      await sendUntilClosed(server, GET_ROOT.subarray(0, 3))
      t.pass('both ended')
    },
    { limits: { helloMs: 200 } }
  )
})

t.test('answers that are no answers', async t => {
  await withServer(t, async server => {
    const answers: unknown[] = [
      [MSG_REPLY, [9, null]],
      [MSG_REPLY, null],
      [MSG_EXCEPTION, [1, 2, 3]],
      [MSG_EXCEPTION, [[1, 2], [], [], '']],
      [MSG_EXCEPTION, [['a', 'b'], 5, [], '']],
      [MSG_EXCEPTION, null]
    ]
    for (const [type, args] of answers as [typeof MSG_REPLY, unknown][]) {
      const peer = await openPeer(server)
      const root = await peer.root()
      peer.hold()
      const fn = peer.function(() => value(1))
      const called = peer.call(root, 'each', [own(fn)]).catch(error => error)
      await waitUntil(() => peer.heard.length > 0)
      peer.channel.send(type, 0, args)
      await called
      await waitUntil(() => peer.closedBy !== undefined)
      t.pass(JSON.stringify(args))
    }
  })
})

t.test('an answer of another form while other messages wait for it', async t => {
  await withServer(t, async server => {
    const peer = await openPeer(server)
    const root = await peer.root()
    peer.hold()
    const waiting = [peer.call(root, 'same', [own(peer.object('builtins.list'))]), peer.send(['x', [9, 9]])]
    await waitUntil(() => peer.heard.length > 0)
    peer.answer()
    await Promise.all(waiting.map(one => one.catch(() => {})))
    await waitUntil(() => peer.closedBy !== undefined)
  })
})

t.test('more messages wait than limits.pendingCalls', async t => {
  await withServer(
    t,
    async server => {
      const peer = await openPeer(server)
      const root = await peer.root()
      const list = peer.object('builtins.list', () => new Promise(() => {}))
      const calls = [peer.call(root, 'same', [own(list)])]
      for (let n = 0; n < 40; n++) calls.push(peer.call(root, 'add', [value(n), value(n)]))
      await Promise.all(calls.map(call => call.catch(() => {})))
      t.ok(peer.closedBy)
    },
    { limits: { pendingCalls: 20 } }
  )
})

/** A seeded generator of numbers below a bound. */
const random = (seed: number) => (below: number) => {
  seed = (seed * 1664525 + 1013904223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

const CONVERSATIONS: readonly unknown[][] = [
  [
    MSG_REQUEST,
    [
      Handler.call,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, [1, 2]],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'add'],
          [1, [1, 2]],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'add'],
          [1, [1]],
          [1, [['b', 2]]]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'record'],
          [1, []],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'count'],
          [1, []],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'each'],
          [2, [[4, ['builtins.function', 7, 7]]]],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'same'],
          [2, [[4, ['builtins.list', 7, 8]]]],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.callAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'same'],
          [2, [[4, ['m.C', 7, 9]]]],
          [1, []]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.getAttribute,
      [
        2,
        [
          [3, ['builtins.object', 1, 1]],
          [1, 'add']
        ]
      ]
    ]
  ],
  [MSG_REQUEST, [Handler.inspect, [1, [['builtins.object', 1, 1]]]]],
  [
    MSG_REQUEST,
    [
      Handler.delete,
      [
        2,
        [
          [3, ['builtins.dict', 1, 2]],
          [1, 1]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.buffiter,
      [
        2,
        [
          [3, ['builtins.generator', 1, 2]],
          [1, 5]
        ]
      ]
    ]
  ],
  [
    MSG_REQUEST,
    [
      Handler.compare,
      [
        2,
        [
          [3, ['builtins.dict', 1, 2]],
          [4, ['builtins.dict', 7, 3]],
          [1, '__eq__']
        ]
      ]
    ]
  ],
  [MSG_REQUEST, [Handler.dir, [2, [[3, ['builtins.object', 1, 1]]]]]],
  [
    MSG_REQUEST,
    [
      Handler.pickle,
      [
        2,
        [
          [3, ['builtins.dict', 1, 2]],
          [1, 2]
        ]
      ]
    ]
  ],
  [MSG_REPLY, [1, 'x']],
  [MSG_REPLY, [1, [1, 2, 3]]],
  [MSG_REPLY, [4, ['builtins.list', 7, 10]]],
  [
    MSG_REPLY,
    [
      2,
      [
        [4, ['builtins.dict', 7, 11]],
        [1, 1]
      ]
    ]
  ],
  [MSG_EXCEPTION, [['builtins', 'KeyError'], ['x'], [], 'text']],
  [MSG_EXCEPTION, 1]
]

t.test('mutated messages', { timeout: 3_600_000 }, async t => {
  const count = Number(process.env.NETREF_FUZZ ?? 2000)
  const seed = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() % 2 ** 32)
  t.comment(`NETREF_FUZZ_SEED=${seed}`)
  const below = random(seed)
  await withServer(t, async server => {
    for (let done = 0; done < count; ) {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
      socket.on('error', () => {}).resume()
      await once(socket, 'connect')
      const closed = new Promise(resolve => socket.on('close', resolve))
      // Replies answer what the gateway asks, one after the other.
      let [asked, replied] = [0, 0]
      const channel = new Channel(
        socket,
        DEFAULT_LIMITS,
        { onMessage: type => void (type === MSG_REQUEST && asked++), onClosed: () => {} },
        5
      )
      channel.send(MSG_REQUEST, 0, [Handler.getRoot, [1, []]])
      for (let seq = 1; seq < 30 && done < count && !socket.destroyed; seq++, done++) {
        const [type, args] = CONVERSATIONS[below(CONVERSATIONS.length)] as [number, unknown]
        if (type !== MSG_REQUEST && replied >= asked) {
          await new Promise(resolve => setImmediate(resolve))
          if (replied >= asked) continue
        }
        const bytes = message(type, type === MSG_REQUEST ? seq : replied++, args)
        // Most are whole, as a broken one may end the connection.
        if (below(3) === 0) for (let n = below(3); n >= 0; n--) bytes[below(bytes.length)] = below(256)
        socket.write(below(20) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes)
      }
      socket.end()
      await Promise.race([closed, new Promise(resolve => setTimeout(resolve, 50))])
      socket.destroy()
    }
  })
})
