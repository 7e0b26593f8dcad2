// Specs of hostile clients of the gateway for Go's net/rpc: each ends its own connection or fails its own call, and nothing stays.
import t from 'tap'
import { mapOf, StructType, sliceOf, structOf } from '../../../lib/gateways/go-rpc/gob/composite-types.js'
import { GobDecoder } from '../../../lib/gateways/go-rpc/gob/decoder.js'
import { Service } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { goType, NOTHING, RawGoClient, withGoRpc } from '../../support/go-rpc.js'
import { waitUntil } from '../../support/helpers.js'

class Target extends Service {
  exposed_Echo = (value: unknown) => value
  exposed_Text = (length: number) => 'x'.repeat(length)
  exposed_Deep = (levels: number) =>
    Array.from({ length: levels }).reduce<unknown>(inner => ({ Left: inner }), null)
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** Sends bytes behind a call that was answered, and waits for the end. @returns the number of answers */
async function sendHostile(port: number, bytes: Buffer, head?: string): Promise<number> {
  const client = await RawGoClient.connect(port, head)
  await client.call('Echo', 'int', 1)
  client.socket.write(bytes)
  await client.closed
  return client.answers.length
}

/** Messages behind a call, in hexadecimal digits and without their lengths. Type 65 is the request. */
const HOSTILE: Record<string, readonly string[]> = {
  'a second definition of a type': ['ff81 02 01 02ff82 00 01 04 00 00'],
  'a type that is not defined': ['fe1000 00'],
  'a type that is reserved': ['20 00'],
  'a definition of a type that is built in': ['03 02 01 0204 00 01 04 00 00'],
  'a definition of a type that is reserved': ['27 02 01 0228 00 01 04 00 00'],
  'a definition of nothing': ['ff91 00'],
  'a definition with two kinds': ['ff91 01 01 02ff92 00 01 04 01 02 00 01 01 02ff92 00 01 04 00 00'],
  'a definition with more behind': ['ff91 02 01 02ff92 00 01 04 00 00 00'],
  'an array of a length below 0': ['ff91 01 01 02ff92 00 01 04 01 01 00 00', '04 00 02'],
  'an array of another length': ['ff91 01 01 02ff92 00 01 04 01 04 00 00', 'ff92 00 01 02'],
  'a struct with fields of the same name': [
    'ff91 03 01 02ff92 00 01 02 01 01 41 01 04 00 01 01 41 01 04 00 00 00',
    '04 00 02'
  ],
  'a struct with a field that is not exported': [
    'ff91 03 01 02ff92 00 01 01 01 01 61 01 04 00 00 00',
    '04 00 02'
  ],
  'a part with a type that is not defined': ['ff91 02 01 02ff92 00 01 ffa0 00 00', 'ff92 00 01 00'],
  'a part with a type beyond all numbers': ['ff91 02 01 02ff92 00 01 f8ffffffffffffff00 00 00', '04 00 02'],
  'a type in itself': ['ff91 01 01 02ff92 00 01 ff92 01 02 00 00', `ff92 00 ${'01'.repeat(300)}`],
  'a type with a number beyond all': ['f8ffffffffffffff00 00'],
  'a number of nine bytes': ['04 00 f7'],
  'a count beyond all': ['0c 00 f81000000000000000'],
  'a message that ends within a value': ['04 00'],
  'a message that ends within a number': ['04 00 fe01'],
  'a message with bytes behind its value': ['04 00 02 00'],
  'an empty message': [''],
  'a message that ends within the number of its type': ['ff'],
  'a value that is no header': ['04 00 02'],
  'a header without its fields': ['ff91 03 01 02ff92 00 01 01 01 01 41 01 04 00 00 00', 'ff92 00'],
  'a header whose number is below 0': [
    'ff91 03 01 02ff92 00 01 02 01 0d 536572766963654d6574686f64 01 0c 00 01 03 536571 01 04 00 00 00',
    'ff92 01 04 4563686f 01 01 00'
  ],
  'a header whose number is a fraction': [
    'ff91 03 01 02ff92 00 01 02 01 0d 536572766963654d6574686f64 01 0c 00 01 03 536571 01 08 00 00 00',
    'ff92 01 04 4563686f 01 fef83f 00'
  ],
  'a singleton that does not begin with 0': ['04 01 02'],
  'a text longer than its message': ['0c 00 05 41'],
  'a field that a struct does not have': ['ff82 09 01 00'],
  'an interface with a name that is too long': [`10 00 fe0500 ${'41'.repeat(0x500)}`],
  'an interface with a second definition': ['10 00 01 41 ff81 02 01 02ff82 00 01 04 00 00'],
  'an interface that is not defined': ['10 00 01 41 ffa0 01 00']
}

function messagesOf(bodies: readonly string[]): Buffer {
  return Buffer.concat(
    bodies.map(hex).flatMap(body => {
      const length =
        body.length < 0x80 ? Buffer.of(body.length) : Buffer.from([0xfe, body.length >> 8, body.length])
      return [length, body]
    })
  )
}

t.test('bytes that are not of net/rpc end the connection at once', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    for (const [what, bodies] of Object.entries(HOSTILE))
      for (const head of [undefined, 'CONNECT /_goRPC_ HTTP/1.0\n\n']) {
        const started = performance.now()
        t.equal(await sendHostile(port, messagesOf(bodies), head), 1, what)
        t.ok(performance.now() - started < 5000, 'without a wait')
      }
    for (const bytes of ['f80000000000000001', 'fc7fffffff'])
      t.equal(await sendHostile(port, hex(bytes)), 1, bytes)
  })
})

t.test('the name of a method has a bounded length', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    t.match((await client.call('x'.repeat(1000), 'int', 1)).error, /^rpc: can't find service xxx/)
    client.send('x'.repeat(1001), 'int', 1)
    await client.closed
    t.equal(client.answers.length, 1)
  })
})

t.test('what looks like the begin of a message ends the connection when it does not go on', async t => {
  const texts = [
    'GET / HTTP/1.1\r\n\r\n',
    '{"method":"Echo","params":[1],"id":1}',
    'CONNECT /_goRPC_ HTTP/1.0\n\n'
  ]
  await withGoRpc(
    t,
    Target,
    async ({ port }) => {
      for (const text of texts) t.equal(await sendHostile(port, Buffer.from(text)), 1, text)
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('connections that begin otherwise are not of the gateway', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    for (const bytes of [
      '00',
      '1fff81',
      '2f80',
      '30ff8104',
      '2fff81030101085265717565737401',
      '7f',
      'ffffffff',
      '2ff8'
    ].map(hex)) {
      const client = await RawGoClient.connect(port)
      client.socket.write(Buffer.concat([bytes, Buffer.alloc(30, 0xff)]))
      await client.closed
      t.same(client.answers, [])
    }
    for (const text of [
      'CONNECT /other HTTP/1.0\n\n',
      'CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n',
      'CONNECT'
    ]) {
      const client = await RawGoClient.connect(port)
      client.socket.end(text)
      await client.closed
      t.same(client.answers, [], text)
    }
  })
})

t.test('a head of HTTP that is too long, or has no end, ends the connection', async t => {
  await withGoRpc(
    t,
    Target,
    async ({ port }) => {
      for (const text of ['x'.repeat(10_000), '\nA: b']) {
        const client = await RawGoClient.connect(port)
        client.socket.write(`CONNECT /_goRPC_ HTTP/1.0${text}`)
        await client.closed
      }
      t.pass('both have ended')
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('a call that is not finished in time ends the connection', async t => {
  await withGoRpc(
    t,
    Target,
    async ({ port }) => {
      for (const part of ['whole', 'header', 'half', 'definition']) {
        const client = await RawGoClient.connect(port)
        await client.call('Echo', 'int', 1)
        await new Promise(resolve => setTimeout(resolve, 150))
        t.equal((await client.call('Echo', 'int', 2)).value, 2, 'between calls there is no limit')
        const call = client.encode('Echo', goType('string'), 'text')
        if (part === 'header') client.socket.write(call.subarray(0, call[0]! + 1))
        else if (part === 'half') client.socket.write(call.subarray(0, 3))
        else if (part === 'definition')
          client.socket.write(hex('09ff91 02 01 02ff92 00 01 04 00 00').subarray(0, 10))
        else client.socket.end()
        await client.closed
        t.equal(client.answers.length, 2, part)
      }
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('an argument beyond a limit fails its call only', async t => {
  await withGoRpc(
    t,
    Target,
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      const chain = (length: number) =>
        Array.from({ length }).reduce<unknown>(inner => ({ Next: inner }), null)
      t.match(
        (await client.call('Echo', 'List', chain(50))).error,
        /a value is deeper than 20 \(limits.depth\)/
      )
      t.match((await client.call('Deep', 'int', 50)).error, /deep/)
      const wide = `struct { ${Array.from({ length: 1000 }, (_, i) => `Field${i} int`).join('; ')} }`
      t.match((await client.call('Echo', `[]${wide}`, Array(5000).fill({}))).error, /too many values/)
      t.equal((await client.call('Echo', 'int', 1)).value, 1)
      await client.end()
    },
    { limits: { depth: 20 } }
  )
})

t.test('few bytes do not stand for many values', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    // Each struct has two of the next one, as a value in Go could have: 2³⁰ zeros.
    let type = goType('struct { A int }')
    for (let i = 0; i < 30; i++)
      type = new StructType(`T${i}`, [
        { name: 'A', type },
        { name: 'B', type }
      ])
    const started = performance.now()
    t.match((await client.call('Echo', type, {})).error, /too many values/)
    t.match((await client.call('Echo', 'struct { A [1000000000]int }', {})).error, /too many values/)
    t.ok(performance.now() - started < 5000)
    t.equal((await client.call('Echo', 'int', 1)).value, 1)
    await client.end()
  })
})

t.test('types are bounded in number', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    await client.call('Echo', 'int', 1)
    for (let id = 100; id < 1200; id++) {
      const number = Buffer.alloc(2)
      number.writeUInt16BE(((id - 1) << 1) | 1)
      const own = Buffer.alloc(2)
      own.writeUInt16BE(id << 1)
      const body = Buffer.concat([hex('fe'), number, hex('02 01 02 fe'), own, hex('00 01 04 00 00')])
      client.socket.write(Buffer.concat([Buffer.of(body.length), body]))
    }
    client.socket.write(hex('03 04 00 02'))
    await client.closed
    t.equal(client.answers.length, 1)
  })
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    const wide = (i: number) =>
      `struct { ${Array.from({ length: 600 }, (_, j) => `F${i}x${j} int`).join('; ')} }`
    for (let i = 0; i < 20; i++) client.send('Echo', wide(i), {})
    await client.closed
    t.ok(client.answers.length < 20)
  })
})

t.test('results of ever other types are bounded', async t => {
  let count = 0
  class Shapes extends Service {
    exposed_Next = () => ({ [`Field${count++}`]: 1 })
  }
  await withGoRpc(t, Shapes, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    const errors = new Set<string>()
    for (let i = 0; i < 1100; i++) errors.add((await client.call(`Next`, NOTHING, {})).error)
    t.ok([...errors].some(error => /more than 1000 types/.test(error)) || errors.size === 1)
    await client.end()
  })
})

t.test('names of types are bounded in all: those of results, and those that a client defines', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    const echo = (i: number) =>
      client.result('Echo', 'map[string]int', { [`Field${i}${'x'.repeat(50_000)}`]: 1 })
    for (let i = 0; i < 19; i++) t.match(await echo(i), [/^struct/])
    t.match(await echo(20), /more than 1000 types/)
    t.same(await client.result('Echo', 'int', 1), ['int', 1], 'the connection goes on')
    await client.end()

    const other = await RawGoClient.connect(port)
    for (let i = 0; i < 25; i++)
      other.send('Echo', structOf([{ name: `Field${i}${'x'.repeat(50_000)}`, type: goType('int') }]), {})
    await other.closed
    t.ok(other.answers.length < 20)
  })
})

t.test('a list of very many objects is typed at once, beside very many types', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    const names = Array.from({ length: 450 }, (_, i) => `Field${i}`)
    const parts = names.map(name => goType(`[]struct { ${name}, Other${name} int }`))
    const again = { name: 'Again', type: goType('[]struct { Field0, OtherField0 string }') }
    const wide = structOf([...names.map((name, i) => ({ name, type: parts[i]! })), again])
    const item = goType('struct { Last, Least int }')
    const type = mapOf(wide, [1, 2, 3, 4].reduce(sliceOf, item))
    const list = [[[Array.from({ length: 30_000 }, () => ({ Last: 1, Least: 2 }))]]]
    const started = performance.now()
    t.equal((await client.call('Echo', type, new Map([[{}, list]]))).error, '')
    t.ok(performance.now() - started < 5000, `after ${performance.now() - started} ms`)
    await client.end()
  })
})

t.test('a client that never reads is cut', async t => {
  await withGoRpc(
    t,
    Target,
    async ({ port, server }) => {
      const client = await RawGoClient.connect(port)
      client.socket.pause()
      for (let i = 0; i < 100; i++) client.send('Text', 'int', 1_000_000)
      await waitUntil(() => server.sessions.size === 1)
      await waitUntil(() => server.sessions.size === 0, 'the end of the session')
      client.socket.destroy()
    },
    { limits: { pauseMs: 100 } }
  )
})

t.test('odd names of members are data', async t => {
  await withGoRpc(t, Target, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    const odd = JSON.parse('{"__proto__":1,"constructor":2,"then":3,"toJSON":4,"hasOwnProperty":5}')
    const { value, error } = await client.call('Echo', 'map[string]int', odd)
    t.equal(error, '')
    t.same(Object.entries(value as object).sort(), Object.entries(odd).sort())
    t.equal(({} as { x?: unknown }).x, undefined)
    await client.end()
  })
})

t.test('neither short messages nor the parts of a value stand for many values', async t => {
  const short = new GobDecoder(DEFAULT_LIMITS)
  // An array of 10 000 numbers, in a struct that has none of them.
  short.decode(hex('ff83 01 01 02ff84 00 01 04 01 fe4e20 00 00'))
  short.decode(hex('ff81 03 01 02ff82 00 01 01 01 01 41 01 ff84 00 00 00'))
  const readStruct = () => short.decode(hex('ff82 00'))
  t.same((readStruct()!.value as { A: unknown[] }).A.length, 10_000)
  t.throws(() => Array.from({ length: 100 }, readStruct), { message: /too many values/ })

  const split = new GobDecoder(DEFAULT_LIMITS)
  split.decode(hex('ff83 01 01 02ff84 00 01 04 01 fe4e20 00 00'))
  split.decode(hex('ff85 02 01 02ff86 00 01 10 00 00'))
  split.decode(
    hex('ff81 03 01 02ff82 00 01 03 01 01 41 01 ff84 00 01 01 42 01 04 00 01 01 43 01 ff86 00 00 00')
  )
  // Behind the array comes a list of interfaces, which is read again with each definition in it.
  const define = (id: number) => `0141 fe${(2 * id - 1).toString(16).padStart(4, '0')} 02 01 00 01 04 00 00`
  t.equal(split.decode(hex(`ff82 02 02 01 7f ${define(1000)}`)), undefined)
  const goOn = (_: unknown, i: number) =>
    split.decode(hex(`fe${(2 * (1000 + i)).toString(16).padStart(4, '0')} 02 00 00 ${define(1001 + i)}`))
  t.throws(() => Array.from({ length: 100 }, goOn), { message: /too many values/ })
})

t.test('a value that goes on without end is bounded', async t => {
  const decoder = new GobDecoder({ ...DEFAULT_LIMITS, frameBytes: 1000 })
  // A list of interfaces, which goes on behind each definition.
  decoder.decode(hex('ff85 02 01 02ff86 00 01 10 00 00'))
  t.equal(decoder.decode(hex('ff86 00 7f 01 41 ff87 02 01 02ff88 00 01 04 00 00')), undefined)
  t.ok(decoder.isWithinValue)
  const more = () => decoder.decode(hex('ff89 02 01 02ff8a 00 01 04 00 00'))
  t.throws(() => Array.from({ length: 1000 }, more), {
    message: /more than 1000 bytes \(limits.frameBytes\)/
  })
})
