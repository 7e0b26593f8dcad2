// Specs of hostile clients of the ZeroRPC gateway: each ends its own connection or fails its own call, and nothing stays.
import { encode } from '@msgpack/msgpack'
import t from 'tap'
import { formatCommand, formatMessage } from '../../../lib/gateways/zerorpc/zmtp.js'
import { Service } from '../../../lib/index.js'
import { heldBytes } from '../../support/held-bytes.js'
import { waitUntil } from '../../support/helpers.js'
import { ByteClient, greeting, READY, withZeroRpc } from '../../support/zerorpc.js'

class Target extends Service {
  exposed_echo = (value: unknown) => value
  exposed_text = (length: number) => 'x'.repeat(length)
}

const PING = encode([{ message_id: 'ping', v: 3 }, '_zerorpc_ping', []])
const ready = (type: string) =>
  formatCommand(
    'READY',
    Buffer.from(`\x0bSocket-Type\0\0\0${String.fromCharCode(type.length)}${type}`, 'latin1')
  )

t.test('a connection that breaks ZMTP ends', async t => {
  await withZeroRpc(t, Target, async ({ port, server }) => {
    const message = formatMessage([Buffer.alloc(0), PING])
    for (const [what, ...bytes] of [
      ['version 2', greeting('NULL', 2), READY, message],
      ['PLAIN', greeting('PLAIN'), READY, message],
      ['a REQ', greeting(), ready('REQ'), message],
      ['no socket type', greeting(), formatCommand('READY', new Uint8Array()), message],
      ['no READY', greeting(), message],
      ['flags', greeting(), READY, Buffer.of(255, 0), message],
      ['a command without a name', greeting(), READY, Buffer.of(4, 0), message],
      ['a message beyond frameBytes', greeting(), READY, Buffer.of(2, 0, 0, 0, 0, 1, 0, 0, 1), message],
      ['a long address', greeting(), READY, Buffer.of(3, 0, 0, 0, 0, 0, 0, 1, 0), message],
      ['many addresses', greeting(), READY, Buffer.alloc(34, Buffer.of(1, 0)), message]
    ] as const) {
      const client = await ByteClient.connect(port, Buffer.concat(bytes))
      await client.closed
      t.same(client.events, [], what)
    }
    t.equal(server.metrics.gateways.zerorpc!.clientsTotal, 10)
  })
})

t.test('messages that are no events are ignored, and so are events of unknown channels', async t => {
  await withZeroRpc(t, Target, async ({ port }) => {
    const client = await ByteClient.connect(port)
    const id = { message_id: 'id', v: 3 }
    const long = 'x'.repeat(300)
    for (const event of [
      ...[
        null,
        1,
        'text',
        [],
        [1, 2],
        [1, 2, 3, 4],
        {},
        [null, 'echo', []],
        [1, 'echo', []],
        [[], 'echo', []]
      ],
      ...[
        [{}, 'echo', []],
        [{ message_id: null }, 'echo', []],
        [{ message_id: 5 }, 'echo', []]
      ],
      ...[
        [{ message_id: long }, 'echo', []],
        [{ message_id: new Uint8Array(300) }, 'echo', []]
      ],
      ...[
        [{ message_id: [] }, 'echo', []],
        [{ ...id, response_to: 5 }, 'echo', []]
      ],
      ...[
        [id, 5, []],
        [id, null, []],
        [id, new Uint8Array(4), []],
        [id, ['echo'], []]
      ],
      [{ ...id, a: { b: { c: 1 } } }, 'echo', []],
      ...['_zpc_hb', '_zpc_more', 'echo'].map(name => [{ ...id, response_to: 'unknown' }, name, [1]])
    ])
      await client.payload(encode(event))
    for (const bytes of [
      [],
      [0xc1],
      [0x93],
      [0x93, 0xc1],
      [0x93, 0x80],
      [0x93, 0x80, 0xa4],
      [0xdd, 255, 255, 255, 255]
    ])
      await client.payload(Buffer.from(bytes))
    await client.write(formatMessage([PING]))
    await client.write(formatCommand('OTHER', Buffer.from('x')))
    await client.write(Buffer.concat([READY, ready('REQ')]))
    t.same(await client.call('echo', 1), 1)
    t.same(
      client.events.map(({ header }) => header.response_to),
      ['ping', 'call-1'],
      'the one that has no address is answered, too'
    )
    await client.close()
  })
})

t.test('an event that opens an open channel again is ignored', async t => {
  let opened = 0
  let release = () => {}
  const wait = () => {
    opened++
    return new Promise<void>(resolve => {
      release = resolve
    })
  }
  await withZeroRpc(t, { wait }, async ({ port }) => {
    const client = await ByteClient.connect(port)
    for (const id of ['same', Buffer.from('same')]) client.send({ message_id: id, v: 3 }, 'wait', [])
    await client.call('_zerorpc_ping')
    t.equal(opened, 1)
    release()
    t.equal((await client.wait('same')).length, 1)
    client.send({ message_id: 'same', v: 3 }, 'wait', [])
    await waitUntil(() => opened === 2)
    release()
    t.equal((await client.wait('same', 2)).length, 2)
    await client.close()
  })
})

t.test('a page cannot reach the gateway', async t => {
  await withZeroRpc(
    t,
    Target,
    async ({ port, server }) => {
      t.not(port, server.port)
      const body = Buffer.concat([greeting(), READY, formatMessage([Buffer.alloc(0), PING])])
      const head = `POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\nContent-Length: ${body.length}\r\n\r\n`
      const client = await ByteClient.connect(port, Buffer.concat([Buffer.from(head), body]))
      await client.closed
      t.same([client.commands, client.events], [[], []])
      t.equal(server.metrics.gateways.zerorpc!.clientsTotal, 0)
    },
    { gateway: { port: 0 } }
  )
})

t.test('a PING is answered', async t => {
  await withZeroRpc(t, Target, async ({ port }) => {
    const client = await ByteClient.connect(port)
    await client.write(formatCommand('PING', Buffer.from('\0\x05context', 'latin1')))
    await client.write(formatCommand('PING', Buffer.alloc(0)))
    await client.write(formatCommand('PING', Buffer.alloc(100, 'x')))
    await client.call('_zerorpc_ping')
    t.same(client.commands.slice(1), [
      { name: 'PONG', data: Buffer.from('context') },
      { name: 'PONG', data: Buffer.alloc(0) },
      { name: 'PONG', data: Buffer.alloc(16, 'x') }
    ])
    await client.close()
  })
})

t.test('a handshake, and a message that has begun, must go on', async t => {
  await withZeroRpc(
    t,
    Target,
    async ({ port, server }) => {
      const message = formatMessage([Buffer.alloc(0), PING])
      for (const bytes of [
        greeting().subarray(0, 20),
        greeting(),
        Buffer.concat([greeting(), READY.subarray(0, 5)]),
        Buffer.concat([greeting(), READY, message.subarray(0, 1)]),
        Buffer.concat([greeting(), READY, message.subarray(0, 2)]),
        Buffer.concat([greeting(), READY, message.subarray(0, message.length - 1)])
      ]) {
        const client = await ByteClient.connect(port, bytes)
        await client.closed
        t.same(client.events, [])
      }
      const idle = await ByteClient.connect(port)
      await idle.call('_zerorpc_ping')
      await new Promise(resolve => setTimeout(resolve, 300))
      t.equal(server.sessions.size, 1, 'an idle client stays')
      await idle.close()
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('a client is not late while its bytes are not read', async t => {
  await withZeroRpc(
    t,
    Target,
    async ({ port }) => {
      const client = await ByteClient.connect(port)
      client.socket.pause()
      for (let i = 0; i < 20; i++) client.open('text', 1_000_000)
      const message = formatMessage([Buffer.alloc(0), PING])
      await client.write(message.subarray(0, 10))
      await new Promise(resolve => setTimeout(resolve, 400))
      client.socket.resume()
      await client.write(message.subarray(10))
      await client.wait('ping')
      t.equal(client.events.length, 21)
      await client.close()
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('counts beyond the message, and many slots, take no memory', async t => {
  await withZeroRpc(t, Target, async ({ port }) => {
    const client = await ByteClient.connect(port)
    const head = PING.subarray(0, PING.length - 1)
    const lists = Buffer.alloc(500_000, Buffer.of(0xdd, 0, 4, 0, 0))
    const before = process.memoryUsage().rss
    await client.payload(Buffer.concat([head, lists]))
    await client.payload(Buffer.concat([head, Buffer.alloc(500_000, Buffer.of(0xdf, 0, 4, 0, 0))]))
    t.match(await client.wait('ping', 2), [
      { name: 'ERR', args: ['ProtocolError', /cut|deeper/] },
      { name: 'ERR', args: ['ProtocolError', /cut|deeper/] }
    ])
    t.ok(process.memoryUsage().rss - before < 200e6, 'as a decoder without bounds would need 100 GB')
    await client.close()
  })
})

t.test('the bytes of an event are not kept while its call is under way', async t => {
  let called = 0
  const wait = () => {
    called++
    return new Promise(() => {})
  }
  await withZeroRpc(t, { wait }, async ({ port }) => {
    const client = await ByteClient.connect(port)
    const before = heldBytes()
    for (let i = 0; i < 10; i++)
      client.send({ message_id: `m${i}`, v: 3, more: new Uint8Array(4_000_000) }, 'wait', [])
    await waitUntil(() => called === 10)
    await waitUntil(() => heldBytes() - before < 20e6, 'the end of the bytes')
    t.equal(client.events.length, 0, 'no call is answered')
    await client.close()
  })
})
