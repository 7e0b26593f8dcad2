// Tests objects of another realm: a `vm` context, as test runners create it, or an iframe. `instanceof` does not
// recognize them.
import { execFile } from 'node:child_process'
import { inspect, isDeepStrictEqual, promisify } from 'node:util'
import vm from 'node:vm'
import { build } from 'esbuild'
import t from 'tap'
import { browserVariants } from '../../.build/browser-variants.js'
import { expose, Netref, registerError, Service } from '../../lib/index.js'
import { className } from '../../lib/util/describe.js'
import { CHILD_ENV, overMemory, overSocket, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const context = vm.createContext({})
/** The value of an expression in the other realm, and in this one. */
const there = (text: string): Untyped => vm.runInContext(`(${text})`, context)
const here = (text: string): Untyped => vm.runInThisContext(`(${text})`)

let gift: Untyped
class Echo extends Service {
  exposed_echo = (value: unknown) => value
  exposed_give = () => gift
  exposed_fail = () => {
    throw gift
  }
  exposed_run = (run: () => unknown) => run()
}

const VALUES = [
  '{}',
  '{ a: 1, b: [{ c: undefined }] }',
  'Object.create(null)',
  '[]',
  '[1, , { a: 1n }, [NaN]]',
  'new Date(5)',
  '/a+/giu',
  'new RegExp("/")',
  'new Map([[{ a: 1 }, new Set([1, new Date(3)])]])',
  'new Set([[1], "a"])',
  'new Error("plain")',
  'new TypeError("typed", { cause: new RangeError("cause") })',
  'Object.assign(new Error("ENOENT: none"), { code: "ENOENT", errno: -2, syscall: "open", path: "/none" })',
  'new AggregateError([new EvalError("one"), 2], "many")',
  'new ArrayBuffer(3)',
  'new Uint8Array([1, 2]).buffer',
  'new Uint8Array([1, 2, 3]).subarray(1)',
  'new Uint8ClampedArray([1, 2])',
  'new Int16Array([1, 2])',
  'new Float64Array([1.5, -0])',
  'new BigUint64Array([1n])',
  'new DataView(new ArrayBuffer(8), 2, 3)',
  '(() => { const a = { b: new Map() }; a.b.set("a", a); return a })()',
  'Array.from({ length: 20 }, (_, i) => ({ n: i, at: new Date(i) }))'
]

const withoutStack = (error: Error) => {
  for (let at: unknown = error; at instanceof Error; at = at.cause) at.stack = ''
  return error
}

/** Both sides accept RegExps. */
const TAKING_REGEXPS = { limits: { regExpLength: 100 }, serving: { limits: { regExpLength: 100 } } }

t.test('each value arrives as an object of this realm, whatever realm it was made in', t =>
  overMemory(
    t,
    Echo,
    async ({ root }) => {
      for (const text of VALUES) {
        const wanted = withoutStack(await (root as Untyped).echo(here(text)))
        for (const found of [
          await (root as Untyped).echo(there(text)),
          await (root as Untyped).run(() => there(text)),
          (await (root as Untyped).echo([{ in: there(text) }]))[0].in
        ])
          t.ok(isDeepStrictEqual(withoutStack(found), wanted), text, { found: inspect(found) })
      }
      t.equal(String(await (root as Untyped).echo(there('new Date(NaN)'))), 'Invalid Date')
      for (const text of VALUES.filter(text => /Error\(/.test(text))) {
        gift = there(text)
        const error = await rejectionOf((root as Untyped).fail())
        t.equal(error.constructor, here(text).constructor, text)
        t.equal(error.message, gift.message)
      }
      gift = undefined
    },
    TAKING_REGEXPS
  )
)

t.test('instances of user classes, and objects that imitate built-ins, pass by reference', t =>
  overMemory(t, Echo, async ({ root }) => {
    for (const text of [
      'new (class extends Date {})()',
      'new (class extends Map {})()',
      'new (class extends Array {})()',
      'new (class extends Uint8Array {})()',
      'new (class Point { x = 1 })()',
      'new (class Date {})()',
      'new (class { static name = 1 })()',
      'new (class Map { get [Symbol.toStringTag]() { return "Map" } })()',
      'new (class { get [Symbol.toStringTag]() { return "Error" } })()',
      'new (class URL { get [Symbol.toStringTag]() { return "URL" } })()',
      'Object.create({ constructor: Date })',
      'class Date {}',
      '() => 1'
    ]) {
      for (const object of [here(text), there(text)]) {
        t.equal(await (root as Untyped).echo(object), object, `the owner of ${text} receives the original`)
        t.ok(await (root as Untyped).run(() => object).then((found: unknown) => found === object))
      }
    }
    const tagged = there('{ [Symbol.toStringTag]: "Date", a: 1 }')
    t.same(await (root as Untyped).echo(tagged), { a: 1 }, 'a record is copied')
  })
)

t.test('promises, iterators, signals and streams of another realm are streamed', t =>
  overMemory(t, Echo, async ({ root }) => {
    const { echo, run } = root as Untyped
    t.equal(await (await echo([there('Promise.resolve(3)')]))[0], 3)
    const rejecting = await echo([there('Promise.reject(new TypeError("no"))')])
    t.match(await rejectionOf(rejecting[0]), { name: 'TypeError', message: 'no' })
    t.equal(await run(there('async () => 5')), 5)
    for (const text of ['[1, 2][Symbol.iterator]()', '(function* () { yield 1; yield 2 })()']) {
      const items: unknown[] = []
      for await (const item of await run(() => there(text))) items.push(item)
      t.same(items, [1, 2], text)
    }

    // As in jsdom and abort-controller.
    class AbortSignal extends EventTarget {
      aborted = false
      reason: unknown
      abort(reason: unknown) {
        this.aborted = true
        this.reason = reason
        this.dispatchEvent(new Event('abort'))
      }
    }
    Object.defineProperty(AbortSignal.prototype, Symbol.toStringTag, { value: 'AbortSignal' })
    const signal = new AbortSignal()
    const option = { signal: signal as never }
    let over!: (value: unknown) => void
    const waiting = Netref.with(root as Untyped, option).run(() => new Promise(resolve => (over = resolve)))
    const lasting = run((arrived: unknown) => arrived)
    await lasting
    const aborted = new Promise(resolve => {
      gift = signal
      void (root as Untyped).give().then((arrived: globalThis.AbortSignal) => {
        t.ok(arrived instanceof globalThis.AbortSignal)
        arrived.addEventListener('abort', () => resolve(arrived.reason))
        signal.abort('enough')
      })
    })
    t.equal(await aborted, 'enough')
    t.equal(await rejectionOf(waiting), 'enough')
    over(0)
    gift = undefined
    t.throws(() => Netref.with(root, { signal: {} as never }), /`signal` must be an AbortSignal, not \{…\}/)
  })
)

t.test('objects of one program cannot be sent, from any realm', t =>
  overMemory(t, Echo, async ({ root }) => {
    class Window {}
    class Document {}
    class HTMLDocument extends Document {}
    for (const type of [Window, Document])
      Object.defineProperty(type.prototype, Symbol.toStringTag, { value: type.name })
    for (const [object, what] of [
      [there('new WeakMap()'), 'a WeakMap'],
      [there('new (class extends WeakSet {})()'), 'a WeakSet'],
      [there('new WeakRef({})'), 'a WeakRef'],
      [there('new FinalizationRegistry(() => {})'), 'a FinalizationRegistry'],
      [there('new SharedArrayBuffer(1)'), 'a SharedArrayBuffer'],
      [there('globalThis'), 'the global object of another realm'],
      [new Window(), 'a Window'],
      [new HTMLDocument(), 'a Document'],
      [Object.create(Object.getPrototypeOf(process)), 'a process']
    ] as const) {
      const error = await rejectionOf((root as Untyped).echo(object))
      t.match(error, { name: 'UnsendableError', code: 'unsendable' })
      t.ok(error.message.includes(`args[0] is ${what}, which cannot be sent: `), error.message)
    }
  })
)

t.test('access rules treat objects of other realms like those of this one', async t => {
  const classes = {
    plain: there('class Plain {}'),
    all: there('Object'),
    one: there('(class extends Object {})')
  }
  const map = expose(there('new (class extends Map {})([["a", 1]])') as Map<string, number>)
  const set = expose(there('new Set([1])') as Set<number>)
  const service = expose({ ...classes, map, set, error: there('new Error("x")'), date: there('new Date(3)') })
  await overMemory(
    t,
    service,
    async ({ root }) => {
      const loose = root as Untyped
      for (const name of Object.keys(classes))
        for (const member of ['keys', 'getOwnPropertyNames', 'assign', 'constructor', 'call', 'prototype'])
          t.match(await rejectionOf(loose[name][member]({})), { code: 'not-exposed' }, `${name}.${member}`)
      for (const member of ['hasOwnProperty', '__defineGetter__', 'constructor', '__proto__'])
        t.match(await rejectionOf(loose.map[member]('a')), { code: 'not-exposed' }, member)
      t.same(await Netref.obtain(loose.map), new Map([['a', 1]]))
      t.same(await Netref.obtain(loose.set), new Set([1]))
      const entries: unknown[] = []
      for await (const entry of loose.map) entries.push(entry)
      t.same(entries, [['a', 1]])
      t.match(await rejectionOf(loose.date.getTime()), {
        message: /cannot be read from Date \{…\}, which is sent as a copy/
      })
      t.ok((await loose.error) instanceof Error)
    },
    { serving: { allowPublicAttrs: true } }
  )
})

t.test('errors of other realms: their classes can be registered, and hooks fail with them', async t => {
  const Far = there('class Far extends Error { constructor() { super("far"); this.code = "E_FAR" } }')
  registerError(Far, { name: 'Far' })
  const events: unknown[] = []
  class Hooked extends Echo {
    override onConnect(): void {
      return there('Promise.reject(new Error("hook"))')
    }
  }
  await overSocket(
    t,
    Hooked,
    async ({ root }) => {
      gift = new Far()
      const error = await rejectionOf((root as Untyped).fail())
      t.ok(error instanceof Far && error !== gift)
      t.match(error, { code: 'E_FAR', message: 'far' })
      t.match(error.stack, /realms\.spec/, 'with a stack of this side')
      gift = undefined
      t.match(events, [{ message: 'hook' }], 'the rejection of a hook is reported')
    },
    { server: { onError: error => events.push(error) } }
  )
})

t.test('bytes of another realm are accepted as bytes', t =>
  overMemory(t, Echo, async ({ root }) => {
    const bytes = there('new Uint8Array([1, 2, 3])')
    t.equal(Netref.transfer(bytes), bytes)
    t.same(await (root as Untyped).echo(bytes), new Uint8Array([1, 2, 3]))
    t.equal(bytes.length, 0, 'a transferred buffer is detached')
    t.throws(
      () => Netref.transfer(there('new Uint8Array(new SharedArrayBuffer(1))')),
      /pass an ArrayBuffer or a view of one/
    )
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(there('new Uint8Array([4, 5])'))
        controller.close()
      }
    })
    const chunks: unknown[] = []
    for await (const chunk of await (root as Untyped).echo(stream)) chunks.push(chunk)
    t.same(chunks, [new Uint8Array([4, 5])])
  })
)

/** A program that loads netref in contexts, as test runners do; it prints failures. */
const LOADER = `
import vm from 'node:vm'

// Node 20 crashes when they are collected.
const kept = []
const load = async (context, code) => {
  const link = async (specifier, from) => {
    const found = await import(specifier)
    const names = Object.keys(found)
    const module = new vm.SyntheticModule(names, function () {
      for (const name of names) this.setExport(name, found[name])
    }, { context: from.context })
    kept.push(module)
    return module
  }
  const module = new vm.SourceTextModule(code, { context, initializeImportMeta: meta => { meta.url = 'file:///netref.js' } })
  kept.push(context, module)
  await module.link(link)
  await module.evaluate()
  return module.namespace
}
const globals = Object.fromEntries(
  ('setTimeout clearTimeout setInterval clearInterval setImmediate queueMicrotask performance URL console process Buffer ' +
    'AbortController AbortSignal DOMException EventTarget Event ReadableStream WritableStream TransformStream ' +
    'MessageChannel structuredClone TextEncoder TextDecoder').split(' ').map(name => [name, globalThis[name]])
)
for (const code of [NODE, PAGE]) {
  await load(vm.createContext({}), code)
  for (const missing of Object.keys(globals)) {
    const { [missing]: _, ...others } = globals
    await load(vm.createContext(others), code)
  }
  // In Electron's pages and in jsdom timers are numbers.
  const numbered = ['setTimeout', 'setInterval'].map(name => [name, (...args) => Number(globalThis[name](...args))])
  // jsdom's realm under Jest lacks text coders and streams, and has Node's process.
  const { TextDecoder, TextEncoder, ReadableStream, WritableStream, ...jsdom } = globals
  for (const realm of [globals, jsdom]) {
    const context = vm.createContext({ ...realm, ...Object.fromEntries(numbered) })
    const { Netref, pair } = await load(context, code)
    const read = vm.runInContext('fn => fn()', context)
    const { readFileSync } = await import('node:fs')
    const home = vm.runInContext('({ fail: null, echo: value => value, never: () => new Promise(() => {}) })', context)
    home.fail = () => readFileSync('/none/such')
    const conn = pair(home)
    const error = await conn.root.fail().catch(error => error)
    const { Error: InnerError, Uint8Array: InnerBytes, Map: InnerMap } = vm.runInContext('({ Error, Uint8Array, Map })', context)
    if (!(error instanceof InnerError) || error.code !== 'ENOENT') console.log('an error of fs', error)
    const late = await Netref.with(conn.root, { timeout: 1 }).never().catch(error => error)
    if (late.name !== 'TimeoutError') console.log('a timeout', late)
    const bytes = await conn.root.echo(new Uint8Array([1, 2]))
    if (!(bytes instanceof InnerBytes) || bytes[1] !== 2) console.log('bytes', bytes)
    const many = await conn.root.echo(new Uint8Array(1 << 20))
    if (!(many instanceof InnerBytes && many.buffer instanceof vm.runInContext('ArrayBuffer', context))) console.log('many bytes')
    const map = await conn.root.echo(new Map([[1, new Date(3)]]))
    if (!(map instanceof InnerMap) || +map.get(1) !== 3) console.log('a map', map)
    if (!(await conn.root.echo(new ReadableStream()) instanceof ReadableStream)) console.log('a stream')
    await conn.close()
  }
}
`

t.test('a frozen realm whose classes have accessors instead of values', t => {
  const locked = vm.createContext({})
  vm.runInContext(
    `for (const { prototype } of [Object, Error, TypeError, RangeError, Date, Map]) {
      for (const key of ['constructor', 'name', 'message', 'toString']) {
        const found = Object.getOwnPropertyDescriptor(prototype, key)
        if (!found) continue
        const get = () => found.value
        const set = function (value) { Object.defineProperty(this, key, { ...found, value }) }
        Object.defineProperty(prototype, key, { get, set, configurable: false })
      }
      Object.freeze(prototype)
    }`,
    locked
  )
  const made = (text: string) => vm.runInContext(`(${text})`, locked)
  return overMemory(t, Echo, async ({ root }) => {
    for (const text of [
      'new TypeError("a", { cause: new Error("b") })',
      'new Date(5)',
      'new Map([[1, [2]]])'
    ]) {
      const back = (await root.echo(made(text))) as Error
      t.ok(isDeepStrictEqual(withoutStack(back), withoutStack(here(text))), text)
    }
    gift = made('new RangeError("thrown")')
    t.match(await rejectionOf(root.fail()), { name: 'RangeError', message: 'thrown' })
    t.equal(className(made('new TypeError("a")')), 'TypeError')
  })
})

t.test('netref can be imported in any context, and works where its needs are met', async t => {
  const [node, page] = await Promise.all(
    (['node', 'browser'] as const).map(async platform => {
      const { outputFiles } = await build({
        entryPoints: ['lib/index.ts'],
        bundle: true,
        write: false,
        format: 'esm',
        platform,
        ...(platform === 'node' ? { external: ['ws'] } : { plugins: [browserVariants] })
      })
      return outputFiles[0]!.text
    })
  )
  const program = `const NODE = ${JSON.stringify(node)}, PAGE = ${JSON.stringify(page)}\n${LOADER}`
  const dir = t.testdir({ 'loader.mjs': program })
  const run = promisify(execFile)
  const args = ['--experimental-vm-modules', '--no-warnings', `${dir}/loader.mjs`]
  const { stdout, stderr } = await run(process.execPath, args, { env: CHILD_ENV })
  t.equal(stdout + stderr, '')
})
