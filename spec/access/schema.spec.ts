import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import t from 'tap'
import * as v from 'valibot'
import { z } from 'zod'
import {
  ArgumentsError,
  exposed,
  exposes,
  Netref,
  pair,
  Service,
  type StandardResult,
  type StandardSchema
} from '../../lib/index.js'
import { overMemory, overSocket, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

type Listener = (line: string) => void
interface User {
  name: string
  tags: string[]
}

/** The same service with the schemas of each library. */
class Zod extends Service {
  @exposed(z.tuple([z.number(), z.string()])) pad(count: number, text: string) {
    return text.repeat(count)
  }
  @exposed(z.tuple([z.object({ name: z.string(), tags: z.array(z.string()) })])) save(user: User) {
    return user
  }
  @exposed(z.tuple([z.string(), z.custom<Netref<Listener>>(Netref.is)])) tell(
    text: string,
    to: Netref<Listener>
  ) {
    return to(text)
  }
}
class Valibot extends Service {
  @exposed(v.strictTuple([v.number(), v.string()])) pad(count: number, text: string) {
    return text.repeat(count)
  }
  @exposed(v.tuple([v.object({ name: v.string(), tags: v.array(v.string()) })])) save(user: User) {
    return user
  }
  @exposed(v.tuple([v.string(), v.custom<Netref<Listener>>(Netref.is)])) tell(
    text: string,
    to: Netref<Listener>
  ) {
    return to(text)
  }
}
class Arktype extends Service {
  @exposed(type(['number', 'string'])) pad(count: number, text: string) {
    return text.repeat(count)
  }
  @exposed(type([{ name: 'string', tags: 'string[]' }])) save(user: User) {
    return user
  }
  @exposed(type(['string', Netref.schema<Listener>()])) tell(text: string, to: Netref<Listener>) {
    return to(text)
  }
}

for (const Checked of [Zod, Valibot, Arktype]) {
  t.test(`arguments checked by ${Checked.name}`, async t => {
    await overSocket(t, Checked, async ({ root }) => {
      t.equal(await root.pad(2, 'ab'), 'abab')
      t.same(await root.save({ name: 'Ada', tags: ['x'] }), { name: 'Ada', tags: ['x'] })
      const received: string[] = []
      await root.tell('hi', line => received.push(line))
      t.same(received, ['hi'])

      const wrong = await rejectionOf(root.pad('2' as never, 'ab'))
      t.ok(wrong instanceof ArgumentsError)
      t.ok(wrong instanceof TypeError)
      t.match(wrong, { name: 'ArgumentsError', code: 'invalid-arguments' })
      t.match(wrong.message, /^pad\("2", "ab"\): args\[0\]: .*number/i)
      t.same(
        (wrong as unknown as ArgumentsError).issues.map(({ path }) => path),
        [[0]]
      )
      t.match((wrong as unknown as ArgumentsError).issues[0]!.message, /number/)

      const deep = await rejectionOf(root.save({ name: 'Ada', tags: ['x', 7] } as never))
      t.same(
        (deep as unknown as ArgumentsError).issues.map(({ path }) => path),
        [[0, 'tags', 1]]
      )
      t.match(deep.message, /^save\(\{…\}\): args\[0\]\.tags\[1\]: /)

      t.match(await rejectionOf((root.pad as unknown as (n: number) => Promise<string>)(2)), {
        code: 'invalid-arguments'
      })
      t.match(await rejectionOf(root.tell('hi', 'no function' as never)), {
        code: 'invalid-arguments',
        issues: [{ path: [1] }]
      })
    })
  })
}

t.test('the method does not run with invalid arguments, and receives the output of the schema', async t => {
  const ran: unknown[] = []
  class Forms extends Service {
    @exposed(z.tuple([z.coerce.number(), z.string().trim().default('none')])) submit(
      n: number,
      text?: string
    ) {
      ran.push(n, text)
    }
    @exposed({ schema: z.tuple([z.object({ a: z.number() })]), if: () => true }) strip(it: { a: number }) {
      ran.push(it)
    }
    @exposed(z.tuple([z.number()])) static of(n: number) {
      return n
    }
  }
  await using conn = pair<Forms>(Forms)
  const { root } = conn as unknown as {
    root: Netref<Record<'submit' | 'strip', (...args: unknown[]) => void>>
  }
  await root.submit('7', '  x ')
  await root.submit(8)
  await root.strip({ a: 1, b: 2 })
  t.same(ran.splice(0), [7, 'x', 8, 'none', { a: 1 }])
  await rejectionOf(root.submit('no number', 'x'))
  await rejectionOf(root.strip({ a: '1' }))
  t.same(ran, [])
})

t.test('arguments are checked also through a netref to the method, an override, and a chain', async t => {
  class Base extends Service {
    @exposed(z.tuple([z.number()])) double(n: number): number {
      return 2 * n
    }
  }
  class Derived extends Base {
    override double(n: number) {
      return super.double(n) + 1
    }
  }
  await overMemory(t, Derived, async ({ root }) => {
    t.equal(await root.double(1), 3)
    t.match(await rejectionOf(root.double('1' as never)), { code: 'invalid-arguments' })
    using double = await root.double
    t.equal(await double(2), 5)
    t.match(await rejectionOf(double('1' as never)), {
      code: 'invalid-arguments',
      message: /^it\("1"\): args\[0\]: /
    })
  })
})

t.test('a schema that returns a promise rejects the call, and the error names the call', async t => {
  const ran: unknown[] = []
  class Slow extends Service {
    @exposed(z.tuple([z.string().refine(async () => true)])) check(text: string) {
      ran.push(text)
    }
    @exposed(
      v.tupleAsync([
        v.pipeAsync(
          v.string(),
          v.checkAsync(async () => false)
        )
      ])
    )
    verify(text: string) {
      ran.push(text)
    }
    @exposed(
      schemaOf<[string]>(
        () => Promise.reject(new Error('never an unhandled one')) as Promise<StandardResult<[string]>>
      )
    )
    fail(text: string) {
      ran.push(text)
    }
  }
  await overMemory(t, Slow, async ({ root }) => {
    for (const [name, call] of Object.entries({
      check: root.check('x'),
      verify: root.verify('x'),
      fail: root.fail('x')
    })) {
      const error = await rejectionOf(call)
      t.match(error, { name: 'TypeError' })
      t.match(error.message, new RegExp(`^${name}\\("x"\\): its schema returned a promise`))
    }
    t.same(ran, [])
  })
})

/** A schema that is written by hand. */
function schemaOf<Args extends unknown[]>(
  validate: (value: unknown) => StandardResult<Args> | Promise<StandardResult<Args>>
): StandardSchema<Args> {
  return { '~standard': { version: 1, vendor: 'spec', validate } }
}

t.test('any result of a schema settles the call', async t => {
  const symbol = Symbol('odd')
  const many = Array.from({ length: 1000 }, (_, i) => ({ message: 'x'.repeat(1000), path: [i] }))
  class Odd extends Service {
    @exposed(schemaOf<[]>(() => ({ value: 'no list' as never }))) text() {}
    @exposed(schemaOf<[]>(() => ({ issues: [{ message: 'all wrong' }] }))) whole() {}
    @exposed(schemaOf<[]>(() => ({ issues: [{ message: 'odd', path: [{ key: 0 }, symbol] }] }))) path() {}
    @exposed(schemaOf<[]>(() => ({ issues: many }))) many() {}
    @exposed(
      schemaOf<[]>(() => {
        throw new RangeError('a fault in the schema')
      })
    )
    faulty() {}
  }
  await overMemory(t, Odd, async ({ root }) => {
    t.match(await rejectionOf(root.text()), {
      name: 'TypeError',
      message: /^text\(\): its schema must return a list/
    })
    t.match(await rejectionOf(root.whole()), { message: 'whole(): args: all wrong', issues: [{ path: [] }] })
    t.match(await rejectionOf(root.path()), {
      message: 'path(): args[0]["Symbol(odd)"]: odd',
      issues: [{ path: [0, 'Symbol(odd)'] }]
    })
    const error = (await rejectionOf(root.many())) as unknown as ArgumentsError
    t.equal(error.issues.length, 20)
    t.ok(error.message.length < 2000)
    t.match(await rejectionOf(root.faulty()), { name: 'RangeError', message: 'a fault in the schema' })
  })
})

t.test('Netref.schema() accepts netrefs only', async t => {
  const { validate, version, vendor } = Netref.schema()['~standard']
  t.same([version, vendor], [1, 'netref'])
  await overMemory(t, { hold: (x: unknown) => x, self: () => Netref.is }, async ({ root }) => {
    using self = await root.self()
    t.same(validate(self), { value: self })
    t.equal((validate(self) as { value: unknown }).value, self)
    for (const [value, told] of [
      ['text', '"text"'],
      [() => {}, 'ƒ'],
      [{ a: 1 }, '{…}'],
      [undefined, 'undefined']
    ] as const) {
      t.same(validate(value), { issues: [{ message: `expected a netref, received ${told}` }] })
    }
    t.match(validate(root.hold), { issues: [{}] }, 'a path is not accepted')
  })
})

t.test('@exposed throws for a schema on a getter, and for a field', async t => {
  const schema = z.tuple([z.number()])
  t.throws(
    () =>
      class {
        @(exposed(schema) as Untyped) get size() {
          return 1
        }
      },
    /@exposed size: only a method can have `schema`/
  )
  t.throws(
    () =>
      class {
        @(exposed({ if: () => true }) as Untyped) size = 1
      },
    /@exposed size: only public methods/
  )
})

type Point = { x: number; label?: string }
const point = z.object({ x: z.number(), label: z.string().optional() })
/** Methods whose results may be wrong at run time. */
class Reporting extends Service {
  @exposed({ returns: z.number() }) count(): number {
    return 'many' as never
  }
  @exposed({ schema: z.tuple([z.number()]), returns: point }) async at(x: number): Promise<Point> {
    await nothing()
    return (x < 0 ? { x: 'left' } : { x, secret: 'not told' }) as never
  }
  @exposed({ returns: z.string().refine(async text => text !== '') }) name(): string {
    return ''
  }
  @exposed({ returns: v.pipe(v.string(), v.minLength(1)) }) title(): string {
    return 'fine'
  }
  @exposed({ returns: type('string[]') }) lines(): string[] {
    return [1, 2, 3, 4, 5] as never
  }
}
const nothing = () => new Promise<void>(resolve => setImmediate(resolve))

t.test('results are checked by `returns` only if `checkResults` is set', async t => {
  await overMemory(t, Reporting, async ({ root }) => {
    t.equal(await root.count(), 'many')
    t.same(await root.at(-1), { x: 'left' })
    t.same(await root.at(1), { x: 1, secret: 'not told' })
  })
  const errors: unknown[] = []
  const serving = { checkResults: true, onCallError: (error: unknown) => void errors.push(error) }
  await overMemory(
    t,
    Reporting,
    async ({ root }) => {
      t.match(await rejectionOf(root.count()), {
        name: 'TypeError',
        message: /^count\(\): its result does not match `returns`: result: .*number/
      })
      t.match(await rejectionOf(root.at(-1)), {
        message: /^at\(-1\): its result does not match `returns`: result\.x: .*number/
      })
      t.same(await root.at(1), { x: 1 }, 'the caller gets the output of the schema')
      t.match(await rejectionOf(root.name()), { message: /^name\(\): its result does not match/ })
      t.equal(await root.title(), 'fine')
      t.match(
        (await rejectionOf(root.lines())).message,
        /result\[0\].*result\[1\].*result\[2\](?!.*result\[3\])/
      )
      using count = await root.count
      t.match(await rejectionOf(count()), { message: /^it\(\): its result does not match/ })
      t.match(await rejectionOf(root.at('1' as never)), { code: 'invalid-arguments' })
      t.equal(errors.length, 5, 'a wrong result is a failure of the method, wrong arguments are not')
    },
    { serving }
  )
})

t.test('what is not sent of a result leaves no rejection unhandled', async t => {
  const promise = () => Promise.reject(new Error('never told'))
  const failing = (validate: () => never): StandardSchema<number> => ({
    '~standard': { version: 1, vendor: 'spec', validate }
  })
  class Late extends Service {
    @exposed({ returns: z.number() }) refused(): number {
      return [promise()] as never
    }
    @exposed({ returns: z.object({ a: z.number() }) }) leftOut(): { a: number } {
      return { a: 1, b: promise() } as { a: number }
    }
    @exposed({ returns: z.object({ a: z.number() }) }) async leftOutLater(): Promise<{ a: number }> {
      return { a: 1, b: promise() } as { a: number }
    }
    @exposed({
      returns: failing(() => {
        throw new Error('the schema fails')
      })
    })
    throwing(): number {
      return [promise()] as never
    }
    @exposed({ returns: failing(() => Promise.reject(new Error('the schema fails')) as never) })
    rejecting(): number {
      return [promise()] as never
    }
  }
  await overMemory(
    t,
    Late,
    async ({ root }) => {
      t.match(await rejectionOf(root.refused()), { message: /does not match `returns`/ })
      t.same(await root.leftOut(), { a: 1 })
      t.same(await root.leftOutLater(), { a: 1 })
      t.match(await rejectionOf(root.throwing()), { message: 'the schema fails' })
      t.match(await rejectionOf(root.rejecting()), { message: 'the schema fails' })
      await nothing()
    },
    { serving: { checkResults: true } }
  )
})

t.test('a method that is a plain function is constructed under its condition only', async t => {
  let isAllowed = true
  const made: unknown[] = []
  class Counter extends Service {
    declare add: new (
      count: number
    ) => object
  }
  Object.defineProperty(Counter.prototype, 'add', {
    value: function add(count: unknown) {
      made.push(count)
    }
  })
  const options = { schema: z.tuple([z.number()]), if: () => isAllowed }
  exposes(Counter as Untyped, { add: options } as Untyped)
  await overMemory(t, Counter, async ({ root }) => {
    const Add = root.add as Untyped
    t.match(await rejectionOf(new Add('one')), { code: 'invalid-arguments' })
    using made1 = await new Add(1)
    t.ok(Netref.is(made1))
    using Held = await Add
    t.match(await rejectionOf(new Held('one')), { code: 'invalid-arguments' })
    isAllowed = false
    t.match(await rejectionOf(new Held(1)), { code: 'not-exposed' })
    t.same(made, [1])
  })
})

t.test('only a method has `returns`', t => {
  t.throws(
    () =>
      class {
        @(exposed({ returns: z.number() }) as Untyped) get size() {
          return 1
        }
      },
    /@exposed size: only a method can have `returns`/
  )
  t.end()
})

/** A schema whose library fails. */
const throwing: StandardSchema<[]> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: () => ({ value: [] }),
    jsonSchema: {
      input() {
        throw new Error('cannot tell')
      }
    }
  } as StandardSchema<[]>['~standard']
}

/** A schema whose JSON Schema is this value. */
const tellingOf = (json: unknown): StandardSchema<Untyped> => ({
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: value => ({ value }),
    jsonSchema: { input: () => json, output: () => json }
  } as StandardSchema<Untyped>['~standard']
})

const numberSchema: StandardSchema<number> = {
  '~standard': { version: 1, vendor: 'spec', validate: value => ({ value: value as number }) }
}

t.test('describe tells the JSON Schema of arguments and results, of any library', async t => {
  const tuple = v.tuple([v.number(), v.date()])
  class Told extends Service {
    @exposed({
      schema: z.tuple([z.int(), z.date(), z.string().default('a')]).rest(z.bigint()),
      returns: z.object({ sum: z.number(), at: z.date() })
    })
    zod(_a: number, at: Date, _b?: string, ..._rest: bigint[]) {
      return { sum: 1, at }
    }
    @exposed({ schema: type(['number.integer', 'Date']), returns: type({ a: 'string', 'b?': 'number' }) })
    arktype(a: number, _at: Date): { a: string; b?: number } {
      return { a: `${a}` }
    }
    @exposed({ schema: toStandardJsonSchema(tuple), returns: toStandardJsonSchema(v.nullable(v.string())) })
    valibot(_a: number, _at: Date): string | null {
      return null
    }
    @exposed({ schema: tuple, returns: numberSchema }) untold(a: number, _at: Date) {
      return a
    }
    @exposed(type(['string', Netref.schema<Listener>()])) listen(_text: string, _to: Netref<Listener>) {}
    @exposed(throwing) odd() {}
    @exposed({ schema: tellingOf(true), returns: tellingOf(false) }) booleans(): undefined {}
    @exposed({ schema: tellingOf('text'), returns: tellingOf(null) }) none(): undefined {}
    @exposed plain() {}
  }
  await overMemory(t, Told, async ({ root }) => {
    const told = new Map((await Netref.describe(root)).map(member => [member.name, member]))
    t.match(told.get('zod')!.input, {
      type: 'array',
      prefixItems: [{ type: 'integer' }, {}, { type: 'string', default: 'a' }],
      items: {}
    })
    t.match(told.get('zod')!.output, {
      type: 'object',
      properties: { sum: { type: 'number' }, at: {} },
      required: ['sum', 'at']
    })
    t.match(told.get('arktype')!.input, { type: 'array', prefixItems: [{ type: 'integer' }, {}] })
    t.match(told.get('arktype')!.output, {
      properties: { a: { type: 'string' }, b: { type: 'number' } },
      required: ['a']
    })
    t.match(told.get('valibot')!.input, { type: 'array', prefixItems: [{ type: 'number' }, {}] })
    t.match(told.get('valibot')!.output, { anyOf: [{ type: 'string' }, { type: 'null' }] })
    t.match(told.get('listen')!.input, { prefixItems: [{ type: 'string' }, {}] })
    t.match(told.get('booleans'), { input: {}, output: { not: {} } }, 'true and false as objects')
    for (const name of ['untold', 'odd', 'none', 'plain'])
      t.same(
        Object.keys(told.get(name)!).filter(key => key === 'input' || key === 'output'),
        [],
        `${name}: nothing is known`
      )
    t.same(await Netref.describe(root), [...told.values()])
  })
})
