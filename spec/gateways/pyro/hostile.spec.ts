// Specs of hostile clients of the Pyro gateway: each ends its own connection or fails its own call, and nothing stays.
import { deflateSync } from 'node:zlib'
import t from 'tap'
import { callSignal, Service } from '../../../lib/index.js'
import { heldBytes } from '../../support/held-bytes.js'
import { waitUntil } from '../../support/helpers.js'
import { pyroMessage, RawPyro, SERPENT, Type, VERSIONS, withPyro } from '../../support/pyro.js'

const gates = new Map<number, (value: unknown) => void>()
let cancelled = 0
let made = 0

class Target extends Service {
  exposed_echo = (value: unknown) => value
  exposed_text(length: number) {
    made++
    return 'x'.repeat(length)
  }
  async *exposed_endless() {
    yield await new Promise<number>(() => {})
  }
  exposed_wait(id: number) {
    callSignal()?.addEventListener('abort', () => cancelled++)
    return new Promise(resolve => gates.set(id, resolve))
  }
}

const ECHO = "('x','echo',(1,),{})"

for (const version of VERSIONS) {
  const other = version === 4 ? 5 : 4

  t.test(`Pyro${version}: bytes that are no message end the connection`, async t => {
    await withPyro(t, Target, async ({ port }) => {
      const message = (fields: Parameters<typeof pyroMessage>[1]) => pyroMessage(version, fields)
      const cases: readonly [what: string, bytes: Uint8Array][] = [
        ['other bytes', Buffer.from('POST / HTTP/1.1\r\n\r\n'.padEnd(50))],
        ['another version of Pyro', pyroMessage(other, { data: SERPENT + ECHO })],
        ['an unknown version', Buffer.from('PYRO\0\x01'.padEnd(50))],
        ['a wrong checksum', message({ data: SERPENT + ECHO, check: 1 })],
        ['another type', message({ type: 9, data: SERPENT + ECHO })],
        ['a second handshake', message({ type: Type.connect, data: `${SERPENT}{'object':'x'}` })],
        ['too much data', message({ dataBytes: 0x7fffffff })]
      ]
      for (const [what, bytes] of cases) {
        const client = await RawPyro.connect(port, version)
        await client.send(Buffer.concat([bytes, message({ seq: 9, data: SERPENT + ECHO })]))
        await client.closed
        t.equal(client.received.length, 1, what)
      }
    })
  })

  t.test(`Pyro${version}: a handshake of another form is refused`, async t => {
    await withPyro(
      t,
      Target,
      async ({ port, server }) => {
        for (const [literal, fields, text] of [
          ["{'object':", {}, /the data of a message cannot be read/],
          ["{'object':'x'}", { serializer: 9 }, /the serializer 9 is not accepted/],
          ["{'object':'Pyro.NameServer'}", {}, /unknown object/],
          ["{'object':'x'}", { flags: 16 | 2 }, /cannot be read: incorrect header/],
          ['', { flags: 16 | 2, data: deflateSync(Buffer.alloc(1 << 20)) }, /cannot be read: Cannot create/]
        ] as const) {
          const client = await RawPyro.dial(port, version)
          const [answer] = await client.shakeHands(literal, { seq: 3, ...fields })
          t.match(answer, { type: Type.fail, seq: 3, serializer: 1, text })
          await client.closed
        }
        for (const fields of [
          { type: Type.invoke, data: SERPENT + ECHO },
          { type: Type.ping },
          { type: Type.connect, data: 'x'.repeat((1 << 14) + 1) }
        ]) {
          const client = await RawPyro.dial(port, version)
          await client.send(fields)
          await client.closed
          t.same(client.received, [])
        }
        const tolerant = await RawPyro.dial(port, version)
        t.match(await tolerant.shakeHands('1'), [{ type: Type.ok }], 'the object `undefined` is the root')
        await tolerant.end()
        t.equal(server.metrics.gateways.pyro!.clientsRefused, 0)
      },
      { onError: () => {} }
    )
  })

  t.test(`Pyro${version}: a client that stops in a message is cut`, async t => {
    await withPyro(
      t,
      Target,
      async ({ port }) => {
        const client = await RawPyro.connect(port, version)
        await new Promise(resolve => setTimeout(resolve, 300))
        t.equal((await client.request(ECHO)).text, `${SERPENT}1`, 'between messages there is no limit')
        const bytes = pyroMessage(version, { data: SERPENT + ECHO })
        await client.send(bytes.subarray(0, 50))
        await new Promise(resolve => setTimeout(resolve, 60))
        await client.send(bytes.subarray(50, 55))
        await client.closed
        t.equal(client.received.length, 2)

        const silent = await RawPyro.dial(port, version)
        await silent.send(bytes.subarray(0, 6))
        const dripping = setInterval(() => silent.socket.write('\0'), 20)
        await silent.closed
        clearInterval(dripping)
        t.same(silent.received, [], 'the first message must arrive in time as a whole')
      },
      { limits: { helloMs: 200 } }
    )
  })

  t.test(`Pyro${version}: data beyond the limits fails its call`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        const bomb = deflateSync(Buffer.alloc(1 << 24, SERPENT))
        t.ok(bomb.length < 1 << 17)
        const compressed = { flags: 2 }
        for (const [data, message] of [
          [bomb, /ValueError.*cannot be read: Cannot create a Buffer larger/],
          [Buffer.from('no zlib'), /ValueError.*cannot be read: incorrect header/],
          [deflateSync(ECHO).subarray(0, 20), /ValueError.*cannot be read: unexpected end/]
        ] as const)
          t.match((await client.request('', { ...compressed, data })).text, message)
        const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
        const echo = (literal: string) => client.call('echo', `[${literal}]`)
        t.equal(await echo(nested(190)), nested(190))
        for (const levels of [199, 200, 201, 250, 10_000])
          t.match(await echo(nested(levels)), /__exception__/, `${levels} levels`)
        t.match(await echo('9'.repeat(20_000)), /ValueError.*bigintDigits/)
        t.match(await echo('[],'.repeat(150_000)), /ValueError.*jsonBytes/)
        t.match(await client.call('echo', `(${'0,'.repeat(190_000)})`), /^0$|__exception__/)
        t.match(await echo("b'',".repeat(10_001)), /ValueError.*limits\.values/)
        const serializer = version === 4 ? 2 : 3
        const text = JSON.stringify({ object: 'x', method: 'echo', params: ['x'.repeat(400_000)] })
        t.match((await client.request(text, { serializer })).text, /ValueError.*limits\.jsonBytes/)
        for (const name of ['__proto__', 'constructor', 'then', 'toJSON'])
          t.equal(await echo(`{'${name}':{'x':1}}`), `{"${name}":{"x":1}}`)
        t.match(await client.call('__getattr__', "('__proto__',)"), /AttributeError/)
        t.match(await client.call('constructor'), /AttributeError/)
        t.match(await client.call('echo', '(1,)', "{'__proto__':1}"), /TypeError/)
        await client.endClean(t, served)
      },
      { limits: { jsonBytes: 400_000, frameBytes: 1 << 20 } }
    )
  })

  t.test(`Pyro${version}: a client that never reads is cut`, async t => {
    await withPyro(
      t,
      Target,
      async ({ port, server }) => {
        const client = await RawPyro.connect(port, version)
        client.socket.pause()
        for (let i = 0; i < 100; i++) void client.send({ data: `${SERPENT}('x','text',(1000000,),{})` })
        await waitUntil(() => server.sessions.size === 0, 'the end of the session')
        client.socket.destroy()
      },
      { limits: { pauseMs: 100 } }
    )
  })

  t.test(`Pyro${version}: a client that reads slowly is answered as it reads`, async t => {
    await withPyro(t, Target, async served => {
      const client = await RawPyro.connect(served.port, version)
      client.socket.pause()
      const count = 200
      for (let seq = 1; seq <= count; seq++)
        void client.send({ seq, data: `${SERPENT}('x','text',(100000,),{})` })
      await new Promise(setImmediate)
      client.socket.resume()
      t.equal((await client.messages(count + 1)).length, count + 1)
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: requests that wait do not pile up`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        gates.clear()
        await client.send({ flags: 8, seq: 1, data: `${SERPENT}('x','<batch>',[('wait',(1,),{})],{})` })
        await waitUntil(() => gates.has(1), 'the call of the batch')
        const count = 4000
        const request = (seq: number) =>
          pyroMessage(version, { seq, data: `${SERPENT}('x','echo',('${'x'.repeat(5000)}',),{})` })
        let sent = 0
        for (let seq = 2; seq < count + 2; seq++) client.socket.write(request(seq), () => sent++)
        await new Promise(resolve => setTimeout(resolve, 200))
        t.ok(sent < count, `${sent} of ${count} requests were taken`)
        gates.get(1)!('go on')
        await client.messages(count + 2)
        t.equal(client.received.length, count + 2)
        await client.endClean(t, served)
      },
      { limits: { bufferedBytes: 100_000 } }
    )
  })

  t.test(`Pyro${version}: messages without data that wait do not pile up`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        gates.clear()
        await client.send({ flags: 8, seq: 1, data: `${SERPENT}('x','<batch>',[('wait',(1,),{})],{})` })
        await waitUntil(() => gates.has(1), 'the call of the batch')
        const ping = pyroMessage(version, { type: Type.ping })
        const pings = 2000
        const blocks = 500
        let sent = 0
        for (let i = 0; i < blocks; i++)
          client.socket.write(Buffer.alloc(ping.length * pings, ping), () => sent++)
        for (let before = -1; sent > before; ) {
          before = sent
          await new Promise(resolve => setTimeout(resolve, 300))
        }
        t.ok(sent < blocks, `${sent} of ${blocks} blocks were taken`)
        gates.get(1)!('go on')
        client.socket.destroy()
      },
      { limits: { bufferedBytes: 100_000 } }
    )
  })

  t.test(`Pyro${version}: a client that leaves while its messages wait is noticed`, async t => {
    await withPyro(
      t,
      Target,
      async ({ port, server }) => {
        const client = await RawPyro.connect(port, version)
        gates.clear()
        cancelled = 0
        await client.send({ flags: 8, seq: 1, data: `${SERPENT}('x','<batch>',[('wait',(1,),{})],{})` })
        await waitUntil(() => gates.has(1), 'the call of the batch')
        const ping = pyroMessage(version, { type: Type.ping })
        await client.send(Buffer.alloc(ping.length * 20_000, ping))
        client.socket.destroy()
        await waitUntil(() => cancelled === 1, 'the cancellation')
        await waitUntil(() => server.sessions.size === 0, 'the end of the session')
      },
      { limits: { bufferedBytes: 100_000, pauseMs: 300 } }
    )
  })

  t.test(`Pyro${version}: requests under way have a maximum`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        const stream = (await client.request("('x','endless',(),{})")).annotations.STRM
        const next = `${SERPENT}('Pyro.Daemon','get_next_stream_item',('${stream}',),{})`
        for (let seq = 100; seq < 112; seq++) await client.send({ seq, data: next })
        const replies = await client.messages(4)
        t.match(replies.slice(2), [
          { seq: 110, text: /LimitError: 10 requests are under way \(limits\.pendingCalls\)/ },
          { seq: 111, text: /LimitError/ }
        ])
        await client.end()
      },
      { limits: { pendingCalls: 10 } }
    )
  })

  t.test(`Pyro${version}: the results of a batch have a bound`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        made = 0
        const calls = "('text',(1000,),{}),".repeat(50)
        const { flags, text } = await client.request(`('x','<batch>',[${calls}],{})`, { flags: 8 })
        t.equal(flags, 8)
        t.equal(made, 20, 'the calls after it are not made')
        t.match(text, /"x{1000}",\{"__class__":.*LimitError: the results of the batch are too long/)
        const batch = { object: 'x', method: '<batch>', params: [['echo', [1], {}]], kwargs: {} }
        const serializer = version === 4 ? 2 : 3
        t.equal((await client.request(JSON.stringify(batch), { flags: 8, serializer })).text, '[1]')
        await client.endClean(t, served)
      },
      { limits: { frameBytes: 20_000 } }
    )
  })

  t.test(`Pyro${version}: long ids and the bytes around arguments are not kept`, async t => {
    await withPyro(t, Target, async served => {
      const client = await RawPyro.connect(served.port, version)
      gates.clear()
      const before = heldBytes()
      const long = 'x'.repeat(4_000_000)
      const annotations = { NONE: Buffer.alloc(version === 4 ? 65_000 : 4_000_000) }
      for (let i = 0; i < 10; i++) {
        t.match((await client.request(`('${long}${i}','echo',(${i},),{})`)).text, String(i))
        await client.send({ seq: 100 + i, annotations, data: `${SERPENT}('x','wait',(${i},),{})` })
      }
      await waitUntil(() => gates.size === 10)
      await waitUntil(() => heldBytes() - before < 20e6, 'the end of the bytes')
      await client.end()
    })
  })

  t.test(`Pyro${version}: the end of a connection cancels its calls`, async t => {
    await withPyro(t, Target, async ({ port }) => {
      const client = await RawPyro.connect(port, version)
      gates.clear()
      cancelled = 0
      await client.send({ data: `${SERPENT}('x','wait',(5,),{})` })
      await client.send({
        flags: 8,
        data: `${SERPENT}('x','<batch>',[('wait',(6,),{}),('wait',(7,),{})],{})`
      })
      await waitUntil(() => gates.size === 2)
      client.socket.resetAndDestroy()
      await waitUntil(() => cancelled === 2, 'the cancellation')
      t.equal(gates.size, 2, 'the rest of a batch is not called')
    })
  })

  t.test(`Pyro${version}: a server that closes lets calls finish, and answers the others`, async t => {
    await withPyro(t, Target, async ({ port, server }) => {
      const clients = await Promise.all([1, 2, 3].map(() => RawPyro.connect(port, version)))
      const [client, stuck, idle] = clients as [RawPyro, RawPyro, RawPyro]
      const connecting = await RawPyro.dial(port, version)
      gates.clear()
      await client.send({ seq: 1, data: `${SERPENT}('x','wait',(6,),{})` })
      await stuck.send({ seq: 1, data: `${SERPENT}('x','wait',(7,),{})` })
      await waitUntil(() => gates.size === 2)
      const closing = server.close({ drain: 500 })
      gates.get(6)!('drained')
      await Promise.all([closing, ...[...clients, connecting].map(({ closed }) => closed)])
      t.match(client.received[1], { seq: 1, text: `${SERPENT}"drained"` })
      t.match(stuck.received[1], { seq: 1, text: /builtins\.ConnectionError.*the session has ended/ })
      t.equal(idle.received.length, 1)
    })
  })
}
