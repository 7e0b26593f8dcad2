// Tests that inspecting a received value calls nothing, and that streamed values have no members.
import { format, inspect } from 'node:util'
import t from 'tap'
import { expose, serve } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { overMemory } from '../support/helpers.js'
import { RawPeer } from '../support/raw-peer.js'
import type { Untyped } from '../support/wire.js'

const NAMES = ['then', 'toJSON', 'toString', 'valueOf']

/** All conversions of a value to text. */
const written = (value: unknown) => [
  JSON.stringify(value),
  `${value}`,
  String(value),
  `${Number(value)}`,
  inspect(value, { depth: 9 }),
  format('%s %o %j', value, value, value)
]

t.test('a received object has no function that a conversion would call', async t => {
  const got: Untyped[] = []
  const server = await serve(
    {
      keep(...args: unknown[]) {
        got.push(args)
        return args.map(written)
      }
    },
    { port: 0 }
  )
  const peer = await RawPeer.open(server.url)
  let id = 1
  for (const name of NAMES) {
    const reference = () => [id++, name]
    const values: [unknown, unknown[]][] = [
      [{ n: 1, [name]: reference() }, ['f', [0, name]]],
      [{ n: 1, in: [{ [name]: reference() }] }, ['f', [0, 'in', 0, name]]],
      [{ class: 'Error', name: 'Error', message: 'm', fields: [name, reference()] }, ['f', [0, 'fields', 1]]]
    ]
    for (const [value, group] of values) {
      const groups = (value as Untyped).class ? [group, ['e', [0]]] : [group]
      t.equal((await peer.ask(Op.call, 0, 'keep', [value], groups))[0], Op.result, JSON.stringify(value))
    }
    const [plain, inner, error] = got.splice(0).map(([value]) => value)
    t.same(plain, { n: 1 })
    t.same(inner, { n: 1, in: [{}] })
    t.same(Object.keys(error), [])
    for (const value of [plain, inner.in[0], error]) t.notOk(Object.hasOwn(value, name))
  }
  await peer.end()
  await server.close()
})

t.test('a table has no column that a conversion would call', async t => {
  const server = await serve({ keep: (list: unknown) => list }, { port: 0 })
  const peer = await RawPeer.open(server.url)
  peer.send([[Op.call, 1, 0, 'keep', [[['toJSON'], ['x', 'y']]], [['t', [0]]]]])
  t.match(await peer.closed, { reason: /a table without names/ })
  await server.close()
})

t.test('inspecting an argument calls nothing', t =>
  overMemory(
    t,
    {
      look(fn: Untyped, object: Untyped, record: Untyped) {
        const list = [fn, object, record, fn.path, { fn, object }]
        return list.flatMap(written).filter(text => typeof text !== 'string')
      }
    },
    async ({ root }: Untyped) => {
      let called = 0
      const call = () => ++called
      const object = expose(Object.fromEntries(NAMES.slice(1).map(name => [name, call])))
      const record = {
        n: 1,
        toJSON: call,
        toString: call,
        valueOf: call,
        rows: Array(20).fill({ toString: call })
      }
      t.same(await root.look(call, object, record), [])
      t.equal(called, 0)
    }
  )
)

t.test('the id of a streamed value gives access to no members', async t => {
  class Rows {
    sql = 'S3CRET'
    next() {
      return { done: true, value: undefined }
    }
    [Symbol.asyncIterator]() {
      return this
    }
  }
  const kinds: Record<string, () => object> = {
    record: () => ({
      sql: 'S3CRET',
      next: () => ({ done: true }),
      [Symbol.iterator]() {
        return this
      }
    }),
    rows: () => new Rows(),
    iterable: () => ({ sql: 'S3CRET', *[Symbol.iterator]() {} }),
    thenable: () => ({ lazy: { sql: 'S3CRET', then() {} } }),
    promise: () => ({ promise: Object.assign(new Promise(() => {}), { sql: 'S3CRET' }) }),
    stream: () => Object.assign(new ReadableStream(), { sql: 'S3CRET' }),
    sink: () => Object.assign(new WritableStream(), { sql: 'S3CRET' }),
    signal: () => Object.assign(new AbortController().signal, { sql: 'S3CRET' })
  }
  const server = await serve(kinds, {
    port: 0,
    allowPublicAttrs: true,
    allowSetAttrs: true,
    allowDeleteAttrs: true
  })
  const peer = await RawPeer.open(server.url, { acknowledges: false })
  for (const kind of Object.keys(kinds)) {
    const reply = await peer.call(kind)
    const answer = reply[1] as number
    const id = Number(/\[(\d+),"(?:iterator|promise|stream|signal)"/.exec(JSON.stringify(reply))![1])
    for (const [target, deeper] of [
      [id, []],
      [-answer, kind === 'thenable' ? ['lazy'] : kind === 'promise' ? ['promise'] : []]
    ] as const) {
      for (const [op, path, operand] of [
        [Op.get, [...deeper, 'sql']],
        [Op.call, [...deeper, 'next'], []],
        [Op.call, [...deeper, 'toString'], []],
        [Op.construct, [...deeper, 'constructor'], []],
        [Op.set, [...deeper, 'sql'], 'mine'],
        [Op.has, [...deeper, 'sql']],
        [Op.delete, [...deeper, 'sql']],
        [Op.keys, [...deeper]],
        [Op.describe, [...deeper]],
        [Op.obtain, [...deeper]],
        [Op.iterate, [...deeper]]
      ] as [number, string[], unknown?][]) {
        const told = await peer.ask(op, target, path, ...(operand === undefined ? [] : [operand]))
        t.match(
          told,
          [Op.refused, Number, 'not-exposed'],
          `${kind}: ${op} of ${target}: ${JSON.stringify(told)}`
        )
      }
    }
  }
  await peer.end()
  await server.close()
})

t.test('an exposed object keeps its members, even if it was streamed before', async t => {
  const rows = {
    sql: 'told',
    next: () => ({ done: true }),
    [Symbol.iterator]() {
      return this
    }
  }
  const server = await serve({ rows: () => rows, open: () => expose(rows, { read: ['sql'] }) }, { port: 0 })
  const peer = await RawPeer.open(server.url)
  const [[id]] = [(await peer.call('rows'))[2] as [number]]
  t.match(await peer.ask(Op.get, id, 'sql'), [Op.refused])
  await peer.call('open')
  t.match(await peer.ask(Op.get, id, 'sql'), [Op.result, Number, 'told'])
  await peer.end()
  await server.close()
})
