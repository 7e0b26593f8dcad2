// Specs of tools with the SDK's own clients over HTTP: which methods are tools, how they are described, and what calls give.

import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import t from 'tap'
import * as v from 'valibot'
import { z } from 'zod'
import { exposed, Service } from '../../../lib/index.js'
import { withEachClient, withMcp } from '../../support/mcp.js'
import { textOf } from '../../support/mcp-clients.js'

const Person = z.object({ name: z.string(), born: z.date().optional() })

class ServiceA {
  @exposed({ schema: z.tuple([z.object({ X: z.number(), Y: z.number() })]) })
  Add({ X, Y }: { X: number; Y: number }) {
    return X + Y
  }
}

class Tutorial extends Service {
  @exposed({ schema: z.tuple([]) })
  nothing() {}
  @exposed({ schema: z.tuple([]) })
  absent() {
    return null
  }
  @exposed({ schema: z.tuple([]) })
  list() {
    return [1, 'two', { three: 3n }]
  }
  @exposed({ schema: z.tuple([]) })
  when() {
    return new Date(0)
  }

  @exposed({
    schema: z.tuple([z.number().describe('the first'), z.number()]),
    returns: z.number(),
    help: 'Adds two numbers'
  })
  sum(a: number, b: number) {
    return a + b
  }
  @exposed({ schema: z.tuple([z.string()], z.string()) })
  greet(greeting: string, ...names: string[]) {
    return `${greeting} ${names.join(' and ')}`
  }
  @exposed({ schema: z.tuple([z.number(), z.number().optional()]) })
  power(base: number, exponent = 2) {
    return base ** exponent
  }
  @exposed({ schema: z.tuple([z.string().min(2)]) })
  find(name: string) {
    return { name, tags: new Set(['a']), bytes: new Uint8Array([1, 2]), none: undefined }
  }
  @exposed({ schema: z.tuple([z.string()]), returns: Person })
  person(name: string): z.output<typeof Person> {
    return { name, born: new Date(0) }
  }
  @exposed({ schema: toStandardJsonSchema(v.strictTuple([v.pipe(v.number(), v.integer()), v.string()])) })
  whole(count: number, unit: string) {
    return { count, unit }
  }
  @exposed({ schema: type(['string[]', 'number.integer >= 0']) })
  pick(list: string[], index: number) {
    return list[index]
  }
  @exposed({ schema: z.tuple([z.string()]) })
  fail(message: string) {
    throw Object.assign(new RangeError(message), { code: 7 })
  }
  @exposed
  plain(a: number) {
    return a
  }
  @exposed({ schema: z.tuple([z.object({ x: z.number() }), z.array(z.number())]) })
  unnamed({ x }: { x: number }, [y]: number[]) {
    return x + y!
  }
  @exposed accessor ServiceA = new ServiceA()
}

const TOOLS = [
  ...[
    'sum',
    'greet',
    'power',
    'find',
    'person',
    'whole',
    'pick',
    'fail',
    'nothing',
    'absent',
    'list',
    'when'
  ],
  ...['unnamed', 'ServiceA.Add']
]

t.test('tools are described by help, parameter names and schemas', async t => {
  await withMcp(t, Tutorial, { tools: TOOLS }, async ({ url, errors }) => {
    await withEachClient(t, url, async (t, client) => {
      const tools = await client.list()
      const named = Object.fromEntries(tools.map(tool => [tool.name, tool]))
      t.same(
        tools.map(({ name }) => name),
        [...TOOLS.slice(0, -1), 'ServiceA_Add'],
        'in the order in which they were named, without dots'
      )
      const object = (properties: object, ...required: string[]) => ({
        type: 'object',
        properties,
        ...(required.length > 0 && { required }),
        additionalProperties: false
      })
      t.equal(named.sum.description, 'Adds two numbers')
      t.equal(named.find.description, undefined)
      const input = (name: string) => named[name].inputSchema
      t.same(
        input('sum'),
        object({ a: { type: 'number', description: 'the first' }, b: { type: 'number' } }, 'a', 'b')
      )
      const strings = { type: 'array', items: { type: 'string' } }
      t.same(input('greet'), object({ greeting: { type: 'string' }, names: strings }, 'greeting'))
      t.same(input('power'), object({ base: { type: 'number' }, exponent: { type: 'number' } }, 'base'))
      t.same(input('find'), object({ name: { type: 'string', minLength: 2 } }, 'name'))
      t.same(
        input('whole'),
        object({ count: { type: 'integer' }, unit: { type: 'string' } }, 'count', 'unit')
      )
      t.same(
        input('pick'),
        object({ list: strings, index: { type: 'integer', minimum: 0 } }, 'list', 'index')
      )
      t.same(input('nothing'), object({}))
      t.match(input('unnamed').properties, { arg0: { type: 'object' }, arg1: { type: 'array' } })
      t.match(input('ServiceA_Add'), {
        type: 'object',
        required: ['X', 'Y'],
        properties: { X: { type: 'number' } }
      })
      t.match(named.person.outputSchema, {
        type: 'object',
        properties: { name: { type: 'string' }, born: {} },
        required: ['name']
      })
      t.equal(named.greet.outputSchema, undefined)
    })
    t.same(errors, [])
  })
})

t.test('calls pass arguments by name, and give text and structured content', async t => {
  await withMcp(t, Tutorial, { tools: TOOLS }, async ({ url, errors }) => {
    await withEachClient(t, url, async (t, client) => {
      await client.list()
      const said = async (name: string, args?: object) => textOf(await client.call(name, { ...args }))
      t.equal(await said('sum', { b: 2, a: 1 }), '3')
      t.equal(await said('greet', { greeting: 'hi', names: ['Ada', 'Bob'] }), 'hi Ada and Bob')
      t.equal(await said('greet', { greeting: 'hi' }), 'hi ')
      t.equal(await said('power', { base: 3 }), '9')
      t.equal(await said('power', { base: 2, exponent: 10 }), '1024')
      t.match(await client.call('find', { name: 'Ada' }), {
        content: [{ type: 'text', text: '{"name":"Ada","tags":["a"],"bytes":"AQI="}' }],
        structuredContent: { name: 'Ada', tags: ['a'], bytes: 'AQI=' }
      })
      t.match(await client.call('person', { name: 'Ada' }), {
        structuredContent: { name: 'Ada', born: '1970-01-01T00:00:00.000Z' }
      })
      t.equal(await said('whole', { count: 2, unit: 'kg' }), '{"count":2,"unit":"kg"}')
      t.equal(await said('pick', { list: ['a', 'b'], index: 1 }), 'b')
      t.equal(await said('nothing'), '')
      t.equal(await said('absent'), 'null')
      const list = await client.call('list')
      t.equal(textOf(list), '[1,"two",{"three":3}]')
      t.equal(list.structuredContent, undefined, 'only objects are, unless the type is known')
      t.equal(await said('when'), '"1970-01-01T00:00:00.000Z"')
      t.equal(await said('unnamed', { arg0: { x: 1 }, arg1: [2] }), '3')
      t.equal(await said('ServiceA_Add', { X: 10, Y: 50 }), '60')
    })
    t.same(errors, [])
  })
})

t.test('a failed call is told to the model', async t => {
  await withMcp(t, Tutorial, { tools: TOOLS }, async ({ url, errors }) => {
    await withEachClient(t, url, async (t, client) => {
      await client.list()
      const fails = async (name: string, args: object, text: string) => {
        const result = await client.call(name, { ...args })
        t.equal(result.isError, true)
        t.equal(textOf(result), text)
      }
      await fails('fail', { message: 'no more' }, 'RangeError: no more')
      await fails('sum', { a: 1 }, 'sum: the parameter "b" is missing; its parameters are (a, b)')
      await fails('sum', { a: 1, c: 2 }, 'sum: no parameter has the name "c"; its parameters are (a, b)')
      await fails(
        'sum',
        { a: '1', b: [] },
        'the arguments of sum are wrong:\n- a: Invalid input: expected number, received string\n- b: Invalid input: expected number, received array'
      )
      await fails(
        'greet',
        { greeting: 'hi', names: 'Ada' },
        'greet: the parameter "names" is a list, not "Ada"'
      )
      await fails(
        'greet',
        { greeting: 'hi', names: ['Ada', 1] },
        'the arguments of greet are wrong:\n- names[1]: Invalid input: expected string, received number'
      )
      await fails(
        'unnamed',
        { arg0: { x: '1' }, arg1: [] },
        'the arguments of unnamed are wrong:\n- arg0.x: Invalid input: expected number, received string'
      )
      await fails(
        'ServiceA_Add',
        { X: 10 },
        'the arguments of ServiceA_Add are wrong:\n- Y: Invalid input: expected number, received undefined'
      )
      await fails(
        'whole',
        { count: 1.5, unit: 'kg' },
        'the arguments of whole are wrong:\n- count: Invalid integer: Received 1.5'
      )
      t.match(
        textOf(await client.call('pick', { list: [], index: -1 })),
        /- index: value at \[1\] must be non-negative/
      )
      await t.rejects(client.call('plain', { a: 1 }), { code: -32602, message: /there is no tool "plain"/ })
    })
    t.same(errors, [], 'the errors of clients are not reported')
  })
})
