import fc from 'fast-check'
import t from 'tap'
import { parameterNamesOf } from '../../lib/access/parameters.js'
import { type Description, type ExposureOptions, expose, exposes, Netref, Service } from '../../lib/index.js'
import { assertClean, overMemory, overSocket, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const { describe, keys, has, get }: Untyped = Netref

class Calculator extends Service {
  static {
    exposes(Calculator, {
      precision: true,
      config: true,
      Counter: true,
      add: { help: 'Adds up what it is given' },
      subtract: true,
      now: true,
      mode: true,
      toString: true
    })
  }
  static override help = { subtract: 'Takes the second from the first' }
  precision = 2
  config = { unit: 'm', secret: 'told, as what an exposed object holds is' }
  Counter = class {
    constructor(readonly start = 0) {}
  }
  add(first: number, ...others: number[]) {
    return others.reduce((sum, other) => sum + other, first)
  }
  subtract(a: number, b = 1) {
    return a - b
  }
  get now() {
    throw new Error('nobody asked for the time')
  }
  accessor mode = 'plain'
  override toString() {
    return 'a calculator'
  }
  protected hidden(_secret: string) {}
  protected get private() {
    throw new Error('nobody may ask')
  }
  override onConnect() {}
}

class Scientific extends Calculator {
  override add(first: number, ...rest: number[]) {
    return super.add(first, ...rest)
  }
}

const DESCRIBED: Description[] = [
  { name: 'precision', kind: 'value' },
  { name: 'config', kind: 'object' },
  { name: 'Counter', kind: 'class', parameters: ['start?'] },
  { name: 'add', kind: 'function', parameters: ['first', '...others'], help: 'Adds up what it is given' },
  {
    name: 'subtract',
    kind: 'function',
    parameters: ['a', 'b?'],
    help: 'Takes the second from the first'
  },
  { name: 'now', kind: 'accessor' },
  { name: 'mode', kind: 'accessor' },
  { name: 'toString', kind: 'function', parameters: [] }
]

const byName = (a: Description, b: Description) => (a.name < b.name ? -1 : 1)

t.test('describe returns kind, parameters and help of members a peer may use, and nothing else', t =>
  overSocket(t, Calculator, async ({ root }) => {
    const described: Description[] = await Netref.describe(root)
    t.same([...described].sort(byName), [...DESCRIBED].sort(byName))
    t.same(
      described.map(({ name }) => name),
      await keys(root)
    )
    t.notMatch(JSON.stringify(described), /hidden|private|secret|onConnect|constructor|exposed_/)
    t.same(await describe(get(root, 'config')), [
      { name: 'unit', kind: 'value' },
      { name: 'secret', kind: 'value' }
    ])
  })
)

t.test('an override has the help of the overridden member, and its own parameters', t =>
  overMemory(t, Scientific, async ({ root }: Untyped) => {
    const described: Description[] = await describe(root)
    t.match(
      described.find(({ name }) => name === 'add'),
      { parameters: ['first', '...rest'], help: 'Adds up what it is given' }
    )
  })
)

t.test('a member without a property descriptor is described as an accessor', async t => {
  const answering = new Proxy({}, { ownKeys: () => ['ghost'], has: (_, name) => name === 'ghost' })
  await overMemory(t, { open: () => expose(answering) }, async ({ root }: Untyped) => {
    t.same(await describe(await root.open()), [{ name: 'ghost', kind: 'accessor' }])
  })
})

t.test('objects, functions, pending results and copies', async t => {
  const room = expose(
    { enter: (name: string) => name, topic: 'tea', _hidden: 1, far: undefined as unknown },
    { help: { enter: 'Lets somebody in', topic: 'What is talked about', _hidden: 'not told' } }
  )
  const service = {
    room: () => room,
    keep(far: unknown) {
      room.far = far
    },
    copy: () => ({ a: 1, b: [2] })
  }
  await overMemory(t, service, async ({ root, session, served }) => {
    const told = [
      { name: 'enter', kind: 'function', parameters: ['name'], help: 'Lets somebody in' },
      { name: 'topic', kind: 'value', help: 'What is talked about' },
      { name: 'far', kind: 'value' }
    ]
    t.same(await describe(root.room()), told, 'of a pending result')
    const held = await root.room()
    t.same(await describe(held), told)
    await root.keep(() => 1)
    t.same(
      (await describe(held)).at(-1),
      { name: 'far', kind: 'function' },
      'a netref is described by its kind only'
    )
    await root.keep(expose({ x: 1 }))
    t.same((await describe(held)).at(-1), { name: 'far', kind: 'object' })
    t.same(await describe((held as Untyped).far), [{ name: 'x', kind: 'value' }], 'described by its owner')
    t.same(await describe(await root.room).catch((error: Error) => error), [], 'members of a function')
    const copy = root.copy()
    t.same(await describe(copy), [
      { name: 'a', kind: 'value' },
      { name: 'b', kind: 'object' }
    ])
    await copy
    t.equal((await describe(copy)).length, 2, 'also of a local copy')
    t.match(await rejectionOf(describe(root.copy().b[0])), {
      code: 'not-exposed',
      message: /^Netref\.describe\(root\.copy\(\)\.b\[0\]\): /
    })
    t.match(await rejectionOf(describe({ a: 1 })), { message: /^Netref.describe: {…} is not a netref$/ })
    await root.keep(undefined)
    Netref.release(held)
    await assertClean(t, session, served)
  })
})

t.test('describe: false refuses describe and keys, and members work by name', async t => {
  const serving = { describe: false }
  await overMemory(
    t,
    Calculator,
    async ({ root }: Untyped) => {
      for (const ask of [describe, keys])
        t.match(await rejectionOf(ask(root)), { code: 'not-exposed', message: /`describe: false`/ })
      t.ok(await has(root, 'add'))
      t.equal(await root.add(1, 2), 3)
    },
    { serving }
  )
})

// Arbitrary prototype chains with properties of any kind, and names with a special meaning.
const NAMES = ['a', 'b', '_c', 'exposed_a', 'exposed_d', 'toString', 'constructor', '__proto__', '0']
const property = fc.record({
  name: fc.constantFrom(...NAMES),
  descriptor: fc.oneof(
    fc.constantFrom(1, 'text', undefined, { x: 1 }, () => 1).map(value => ({ value })),
    fc.constant({ get: () => 1 })
  ),
  enumerable: fc.boolean()
})
const layers = fc.array(fc.array(property, { maxLength: 4 }), { minLength: 1, maxLength: 3 })

function built(of: readonly { name: string; descriptor: object; enumerable: boolean }[][], plain: boolean) {
  let object: object | null = plain ? Object.prototype : null
  for (const properties of of) {
    object = Object.create(object) as object
    for (const { name, descriptor, enumerable } of properties) {
      Object.defineProperty(object, name, { ...descriptor, enumerable, configurable: true })
    }
  }
  return object!
}

t.test('describe, keys, has and get agree for any prototype chain and any options', t =>
  fc.assert(
    fc.asyncProperty(
      layers,
      fc.boolean(),
      fc.constantFrom<object | undefined>(undefined, {}, { read: ['a', 'toString'] }),
      fc.boolean(),
      fc.constantFrom('exposed_', 'a'),
      async (of, plain, grant, allowPublicAttrs, exposedPrefix) => {
        const object = built(of, plain)
        if (grant) expose(object, grant)
        const serving: ExposureOptions = { allowPublicAttrs, exposedPrefix }
        await overMemory(
          t,
          expose({ box: { object } }),
          async ({ root }) => {
            const at = (root as Untyped).box.object
            const described: Description[] = await describe(at)
            const names = described.map(({ name }) => name)
            t.same(names, await keys(at))
            for (const name of new Set([...NAMES, ...names])) {
              const there = await has(at, name)
              const got = get(at, name).then(
                () => true,
                () => false
              )
              t.equal(await got, there, name)
              // A member with two names is listed under the one without the prefix.
              const short = name.startsWith(exposedPrefix) ? name.slice(exposedPrefix.length) : name
              if (names.includes(name)) t.ok(there, `${name} is told`)
              else if (there) t.ok(names.includes(short), `${name} is told as ${short}`)
            }
          },
          { serving }
        )
      }
    ),
    { numRuns: 50 }
  )
)

t.test('parameters as they are written in the source', async t => {
  const bound = function bound(this: unknown, _a: number) {}.bind(null)
  class Base {
    constructor(
      readonly first: number,
      second?: string
    ) {
      void second
    }
  }
  const computed = '(x'
  const made = (source: string) => new Function(`return (${source})`)() as () => void
  const cases: [fn: Untyped, parameters: string[] | undefined][] = [
    [() => {}, []],
    [made('x => x'), ['x']],
    [made('async x => x'), ['x']],
    [made('(x, y,) => x'), ['x', 'y']],
    [made('async (x) => x'), ['x']],
    [made('function named(a, b = 1, ...c) {}'), ['a', 'b?', '...c']],
    [made('async function* (größe, $a, _b) {}'), ['größe', '$a', '_b']],
    [made('(a = ")", b = `,`, c) => a'), ['a?', 'b?', 'c']],
    [made('({ a, b }, [c, d] = [], ...[e]) => a'), ['arg0', 'arg1?', '...arg2']],
    [made('(a /* b, */, // c\n d) => a'), ['a', 'd']],
    [made("(a = f(1, (2, 3)), b = { c: [')'] }, d = (x, y) => x) => a"), ['a?', 'b?', 'd?']],
    [made('(a, b = /[,)]/) => a'), ['arg0']],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the source contains a template
    [made('(a, b = `${1}`) => a'), ['arg0']],
    [made('({ async *method(a, b) {} }).method'), ['a', 'b']],
    [made('({ ["odd(" + 1](a) {} })["odd(1"]'), ['a']],
    [made('({ get(a) {} }).get'), ['a']],
    [{ [computed]: (a: number) => a }[computed], ['a']],
    [Base, ['first', 'second']],
    [class {}, []],
    [class extends Base {}, undefined],
    [made('class { static constructor(a) {} }'), []],
    [made('class { m() { this.constructor(1) } constructor(a, b = 2) {} }'), ['a', 'b?']],
    [made('class extends Object { constructor(...all) { super() } }'), ['...all']],
    [Math.max, undefined],
    [bound, undefined],
    [new Proxy((a: number) => a, {}), undefined],
    [Object.defineProperty((a: number) => a, 'length', { value: 3 }), ['arg0', 'arg1', 'arg2']],
    [Object.defineProperty((a: number) => a, 'length', { get: () => 1 }), []]
  ]
  for (const [fn, parameters] of cases) {
    t.same(parameterNamesOf(fn), parameters, String(fn))
    t.same(parameterNamesOf(fn), parameters, 'the second call gives the same result')
  }
})

t.test('an unterminated function source has no parameters', async t => {
  const original = Function.prototype.toString
  const parametersOfSource = (source: string) => {
    Function.prototype.toString = () => source
    try {
      return parameterNamesOf(() => {})
    } finally {
      Function.prototype.toString = original
    }
  }
  for (const source of ['', 'function', 'function (a', 'class {', 'class { constructor(']) {
    t.same(parametersOfSource(source), [], source)
  }
})
