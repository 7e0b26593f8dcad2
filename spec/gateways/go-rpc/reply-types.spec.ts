// Specs of the Go types of results. A Go client drops its connection if a result is not of the type that it expects.
import t, { type Test } from 'tap'
import * as z from 'zod'
import { exposed, Service } from '../../../lib/index.js'
import { goType, NOTHING, RawGoClient, withGoRpc } from '../../support/go-rpc.js'
import type { Untyped } from '../../support/wire.js'

/** What the methods of the service return. */
let next: unknown

class Shop {
  @exposed({ returns: z.number() }) Price(): Untyped {
    return next
  }
  @exposed({ returns: z.int() }) Count(): Untyped {
    return next
  }
  @exposed({ returns: z.array(z.object({ Name: z.string(), Price: z.number(), When: z.date().optional() })) })
  Items(): Untyped {
    return next
  }
  @exposed({ returns: z.record(z.string(), z.number()) }) Prices(): Untyped {
    return next
  }
}

class Source extends Service {
  exposed_Get = { Value: () => next, Other: () => next, Same: (value: unknown) => value }
  exposed_Shop: Untyped = new Shop()
}

type Get = (value: unknown, method?: string) => Promise<Untyped>

/** `get` returns the type and the value that the client gets, or the error. */
async function withClient(
  t: Test,
  use: (client: RawGoClient, get: Get) => Promise<void>,
  gateway: Untyped = {}
): Promise<void> {
  await withGoRpc(
    t,
    Source,
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      await use(client, (value, method = 'Get.Value') => {
        next = value
        return client.result(method, NOTHING, {})
      })
      await client.end()
    },
    { gateway }
  )
}

t.test('`types` says the type, and its zero stands for no result', async t => {
  const types = {
    'Get.Value': 'float64',
    'Get.Other': '[]Item',
    Item: 'struct {\n  Name string `json:"name"`\n  Price, Weight float32; Parts []Item\n}'
  }
  await withClient(
    t,
    async (client, get) => {
      t.same(await get(5), ['float64', 5])
      t.same(await get(undefined), ['float64', 0])
      t.equal(await get('x'), 'result is "x": its Go type should be float64')
      const item = (name: string, parts: object[] = []) => ({ Name: name, Price: 1, Weight: 0, Parts: parts })
      const items = [item('a', [item('b')])]
      t.same(await get([{ Name: 'a', Price: 1, Parts: [{ Name: 'b', Price: 1 }] }], 'Get.Other'), [
        '[]Item',
        items
      ])
      t.same(await get([], 'Get.Other'), ['[]Item', []])
      t.same(await get(null, 'Get.Other'), ['[]Item', []])
      t.equal(await get([{ Nam: 'a' }], 'Get.Other'), 'result[0].Nam is not a field of Item')
      t.same(await client.result('Get.Same', 'int', 1), ['int', 1])
    },
    { types }
  )
})

t.test('`returns` says the type, as far as a schema can', async t => {
  await withClient(t, async (_, get) => {
    t.same(await get(5, 'Shop.Price'), ['float64', 5])
    t.same(await get(5, 'Shop.Count'), ['int', 5])
    t.equal(await get(2.5, 'Shop.Count'), 'result is 2.5: its Go type should be int')
    t.same(await get([{ Name: 'a', Price: 1 }], 'Shop.Items'), ['[]struct', [{ Name: 'a', Price: 1 }]])
    t.same(await get([{ Name: 'a', Price: 1, When: new Date(5) }], 'Shop.Items'), [
      '[]struct',
      [{ Name: 'a', Price: 1, When: new Date(5) }]
    ])
    t.same(await get([], 'Shop.Items'), ['[]struct', []])
    t.same(await get({ a: 1 }, 'Shop.Prices'), ['map[string]float64', { a: 1 }])
    t.same(await get({}, 'Shop.Prices'), ['map[string]float64', {}])
  })
})

t.test('a struct that the client has sent is the type of objects with its fields', async t => {
  const person =
    'struct { Name string; Age int; Score float64; Tags []string; Data []byte; Meta map[string]int; Boss *List; Big uint64 }'
  await withClient(t, async (client, get) => {
    const ada = {
      ...{ Name: 'Ada', Age: 36, Score: 2, Tags: ['a'], Data: Uint8Array.of(0), Meta: { k: -1 } },
      ...{ Boss: { Value: 1, Next: null }, Big: 2n ** 63n }
    }
    t.same(await client.result('Get.Same', person, ada), ['struct', ada])
    const nobody = {
      Name: '',
      Age: 0,
      Score: 0,
      Tags: [],
      Data: new Uint8Array(),
      Meta: {},
      Boss: { Value: 0, Next: null },
      Big: 0
    }
    t.same(await client.result('Get.Same', person, {}), ['struct', nobody])
    t.same(await get([nobody]), ['[]struct', [nobody]])
    t.same(await get({ First: { Value: 7, Next: null } }), ['struct', { First: { Value: 7, Next: null } }])
  })
})

t.test('of several structs with the same fields, that of the argument is the type', async t => {
  await withClient(t, async client => {
    const ints = 'struct { X, Y int }'
    const floats = 'struct { X, Y float64 }'
    for (const type of [ints, floats, ints]) {
      const { type: found } = await client.call('Get.Same', type, { X: 1, Y: 2 })
      t.equal(found.parts[0]!.resolved.name, type === ints ? 'int' : 'float64')
    }
    next = { X: 1 }
    const { type } = await client.call('Get.Value', floats, { X: 1 })
    t.equal(type.parts.length, 2, 'it may have more fields')
    next = { Z: 1 }
    const two = 'struct { A struct { Z uint }; B struct { Z float64 } }'
    const { type: first } = await client.call('Get.Other', two, {})
    t.equal(first.parts[0]!.resolved.name, 'uint', 'of two in the argument, the first')
  })
})

t.test('if all numbers of the argument are of one type, those of the result are, too', async t => {
  await withClient(t, async client => {
    const returning = async (type: string, argument: unknown, value: unknown) => {
      next = value
      return ((await client.result('Get.Value', type, argument)) as unknown[])[0]
    }
    t.equal(await returning('float64', 5, 2), 'float64')
    t.equal(await returning('[]float64', [], [1, 2]), '[]float64')
    t.equal(await returning('struct { A float64; B string }', {}, { a: 1 }), 'map[string]float64')
    t.equal(await returning('struct { A float64; B int }', {}, 'x'), 'string')
    t.equal(await returning('struct { A float64; B int }', {}, 1), 'int')
    t.equal(await returning('uint64', 5, 2), 'uint')
  })
  await withClient(t, async client => {
    const same = async (type: string, value: unknown) =>
      (await client.result('Get.Same', type, value)) as unknown[]
    t.same(await same('uint', 5), ['uint', 5])
    t.same(await same('uint', 2n ** 60n), ['uint', 2n ** 60n])
    next = -1
    t.same(await client.result('Get.Value', 'uint', 5), ['int', -1])
    t.same(await client.result('Get.Other', 'struct { A float64; B int }', {}), ['int', -1])
  })
})

t.test('else the type is as the value looks', async t => {
  await withClient(t, async (_, get) => {
    let method = 0
    // A method of its own for each: a method keeps its type.
    const typeOf = async (value: unknown) => {
      method++
      const result = await get(value, method % 2 ? 'Get.Value' : 'Get.Other')
      return Array.isArray(result) ? result[0] : result
    }
    t.same(await typeOf(5), 'int')
    t.same(await typeOf('x'), 'string')
    t.same(await typeOf(true), 'bool')
    t.same(await typeOf(Uint8Array.of(1)), '[]uint8')
    t.same(await typeOf(new Date(0)), 'Time')
    t.same(await typeOf(2n ** 63n), 'uint')
    t.same(await typeOf(['a', 'b']), '[]string')
    t.same(await typeOf([1, 2.5]), '[]float64')
    t.same(await typeOf([[1], []]), '[][]int')
    t.same(await typeOf({ go: 2, net: 3 }), 'map[string]int')
    t.same(await typeOf(new Map([[1, 'a']])), 'map[int]string')
    t.same(await typeOf(new Set(['a'])), '[]string')
    t.same(await typeOf(Float64Array.of(1)), '[]float64')
    t.same(await typeOf(Uint16Array.of(1)), '[]uint')
    t.same(await typeOf({ name: 'a', age: 1 }), 'map[string]interface {}')
    t.same(await typeOf([1, 'a']), '[]interface {}')
    t.same(await typeOf({ A: 1, B: [] }), 'struct')
    t.same(await typeOf([{ A: 1 }, { A: 2.5, B: 'x' }]), '[]struct')
  })
  await withClient(t, async (_, get) => {
    t.same(await get([{ A: 1 }, { A: 2.5, B: 'x' }, { C: [] }]), [
      '[]struct',
      [
        { A: 1, B: '' },
        { A: 2.5, B: 'x' },
        { A: 0, B: '' }
      ]
    ])
  })
})

t.test('values in lists have one type', async t => {
  for (const [value, expected] of [
    [[2n ** 63n, 1], '[]uint'],
    [[{}, { a: 1 }], '[]map[string]int'],
    [[{ a: 1 }, {}, { b: 'x' }], '[]map[string]interface {}'],
    [[{ A: 1 }, {}], '[]struct'],
    [[{}, { A: 1 }], '[]struct'],
    [[new Map([[1, 'a']]), new Map([[2, 'b']])], '[]map[int]string'],
    [[null], /^an empty list or object tells no type of Go/],
    [[['a'], [], null], '[][]string'],
    [{ A: 1, B: new Map(), C: new Set(), D: null }, 'struct'],
    [[null, 'a'], 'result[0] is null: its Go type should be string'],
    [[{}, 5], /^result\[0\] is in an interface of Go/]
  ] as const)
    await withClient(t, async (_, get) => {
      const result = await get(value)
      t.match(Array.isArray(result) ? result[0] : result, expected)
    })
  await withClient(t, async (client, get) => {
    const cycle: Untyped = { a: 1 }
    cycle.self = cycle
    t.equal(await get(cycle), 'the value is too deep (limits.depth), or in a cycle')
    next = -(2n ** 60n)
    t.same(await client.result('Get.Value', 'uint64', 1), ['int', next])
  })
})

t.test('a service that does not describe itself has the types of values', async t => {
  await withGoRpc(
    t,
    Source,
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      next = 5
      t.same(await client.result('Shop.Price', NOTHING, {}), ['int', 5])
      await client.end()
    },
    { describe: false }
  )
})

t.test('nothing is a struct without fields, which Go reads as any struct', async t => {
  await withClient(t, async (_, get) => {
    for (const nothing of [undefined, null]) t.same(await get(nothing), ['struct', {}])
    t.same(await get(5), ['int', 5])
    t.same(await get(undefined), ['int', 0], 'the zero of the type that the method has had before')
  })
})

t.test('an empty list or object has the type that the method has had before', async t => {
  const unknown =
    'an empty list or object tells no type of Go; declare the type: types: { "Get.Value": "[]string" }'
  await withClient(t, async (_, get) => {
    t.equal(await get([]), unknown)
    t.equal(await get({}), unknown)
    t.equal(await get([[]]), unknown)
    t.same(await get(['a']), ['[]string', ['a']])
    t.same(await get([]), ['[]string', []])
    t.same(await get({ a: 1 }, 'Get.Other'), ['map[string]int', { a: 1 }])
    t.same(await get({}, 'Get.Other'), ['map[string]int', {}])
  })
  await withClient(t, async (_, get) => {
    t.same(await get({ A: 1 }), ['struct', { A: 1 }])
    t.same(await get({}), ['struct', { A: 0 }])
    t.same(await get(new Map([['a', 1]]), 'Get.Other'), ['map[string]int', { a: 1 }])
    t.same(await get(new Map(), 'Get.Other'), ['map[string]int', {}])
  })
})

t.test('a method that has returned a fraction returns floats', async t => {
  await withClient(t, async (_, get) => {
    t.same(await get(2), ['int', 2])
    t.same(await get(2.5), ['float64', 2.5])
    t.same(await get(2), ['float64', 2])
    t.same(await get('text'), ['string', 'text'], 'types that have nothing in common are not combined')
    t.same(await get(2), ['int', 2])
  })
})

t.test('a value in an interface has a type that the Go program is known to have registered', async t => {
  const registered = {
    'main.Circle': 'struct { Radius float64 }',
    'map[string]interface {}': 'map[string]any',
    'time.Time': 'time.Time'
  }
  const mixed = { a: 1, b: 'x', c: 2.5, d: true, e: Uint8Array.of(1), f: null, g: ['a'], h: [], i: 2n ** 63n }
  await withClient(t, async (client, get) => {
    t.same(await get(mixed), ['map[string]interface {}', { ...mixed, h: [] }])
    const notKnown = (place: string) =>
      `result.${place} is in an interface of Go, and its type is not known there; declare what gob.Register has: registered: { "main.T": "struct { … }" }`
    for (const [key, value] of Object.entries({
      struct: { Radius: 1 },
      map: { a: 1 },
      list: [1, 'a'],
      empty: {},
      time: new Date()
    }))
      t.equal(await get({ n: 1, [key]: value }, 'Get.Other'), notKnown(key))
    t.equal(await get({ n: 1, fn: () => {} }), 'result.fn is a reference, and gob has none; pass plain data')
    t.equal(
      await get({ n: 1, re: new URL('http://a') }),
      'result.re is a URL, and the Go type interface {} has none'
    )
    t.same(await client.result('Get.Same', 'int', 1), ['int', 1], 'the connection goes on')
  })
  await withClient(
    t,
    async (_, get) => {
      const value = {
        n: 1,
        circle: { Radius: 2 },
        map: { a: 'x', b: { c: 1 } },
        time: new Date(5),
        empty: {}
      }
      t.same(await get(value), ['map[string]interface {}', value])
    },
    { registered }
  )
})

t.test('what the client has sent in an interface is registered', async t => {
  await withGoRpc(t, Source, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    client.types.known.onRegistered('main.Circle', goType('struct { Radius float64 }'))
    const box = { Inside: { Radius: 1 }, Label: 'a' }
    const type = 'struct { Inside any; Label string }'
    t.same(await client.result('Get.Same', type, box), ['struct', box])
    next = { n: 1, circle: { Radius: 3 } }
    t.same(await client.result('Get.Value', NOTHING, {}), ['map[string]interface {}', next])
    await client.end()
  })
})
