// Replaces tap where intrinsics are frozen: tap's own modules patch `Error` and do not load there. It implements the
// subset that the core specs use, with tap's comparison.
import { format, match, type Result, same, strict } from 'tcompare'

type Body = (t: Test) => unknown
type Acts = Promise<unknown> | (() => unknown)

const failure = async (acts: Acts): Promise<{ error: unknown } | undefined> => {
  try {
    await (typeof acts === 'function' ? acts() : acts)
  } catch (error) {
    return { error }
  }
}

const thrown = (act: () => unknown): { error: unknown } | undefined => {
  try {
    act()
  } catch (error) {
    return { error }
  }
}

export class Test {
  readonly name: string
  /** Names of tests to skip. */
  readonly without = new Set<string>()
  passed = 0
  failed = 0
  readonly #teardowns: (() => unknown)[] = []
  readonly #befores: Body[] = []
  #children: Promise<void> = Promise.resolve()
  #ended = () => {}
  readonly #end = new Promise<void>(resolve => {
    this.#ended = resolve
  })

  constructor(name: string) {
    this.name = name
  }

  #tell(holds: boolean, message: unknown, detail: () => string): boolean {
    if (holds) this.passed++
    else {
      this.failed++
      const { stack } = new Error('here')
      console.log(`not ok ${this.name} > ${message ?? ''}\n${detail()}\n${stack}`)
    }
    return holds
  }

  #compare({ match, diff }: Result, message: unknown): boolean {
    return this.#tell(match, message, () => diff)
  }

  /** Runs a nested test after those added before. */
  test(name: string, options: Body | { skip?: unknown }, body?: Body): Promise<void> {
    const run = typeof options === 'function' ? options : body!
    if (t.without.has(name) || (typeof options !== 'function' && options.skip)) return Promise.resolve()
    return (this.#children = this.#children.then(async () => {
      const child = new Test(`${this.name} > ${name}`)
      for (const before of this.#befores) await before(child)
      await child.run(run)
      this.passed += child.passed
      this.failed += child.failed
    }))
  }

  /** Runs `body`, its nested tests, and its teardowns. */
  async run(body: Body): Promise<void> {
    try {
      const returned = body(this)
      await (returned instanceof Promise ? returned : this.#end)
      await this.#children
    } catch (error) {
      this.fail('it threw', error)
    }
    for (const teardown of this.#teardowns.reverse()) await teardown()
  }

  /** Waits for all tests of a file. */
  async finish(): Promise<void> {
    await this.#children
    for (const teardown of this.#teardowns.reverse()) await teardown()
  }

  end(): void {
    this.#ended()
  }

  teardown(done: () => unknown): void {
    this.#teardowns.push(done)
  }

  beforeEach(before: Body): void {
    this.#befores.push(before)
  }

  setTimeout(): void {}

  comment(...said: unknown[]): void {
    console.log('#', ...said)
  }

  pass(message?: string): boolean {
    return this.#tell(true, message, String)
  }

  fail(message?: string, detail?: unknown): boolean {
    return this.#tell(false, message, () => (detail instanceof Error ? String(detail.stack) : format(detail)))
  }

  ok(value: unknown, message?: string): boolean {
    return this.#tell(Boolean(value), message, () => format(value))
  }

  notOk(value: unknown, message?: string): boolean {
    return this.#tell(!value, message, () => format(value))
  }

  equal(value: unknown, wanted: unknown, message?: string): boolean {
    return this.#tell(Object.is(value, wanted), message, () => `${format(value)} is not ${format(wanted)}`)
  }

  not(value: unknown, other: unknown, message?: string): boolean {
    return this.#tell(!Object.is(value, other), message, () => format(value))
  }

  same(value: unknown, wanted: unknown, message?: string): boolean {
    return this.#compare(same(value, wanted), message)
  }

  strictSame(value: unknown, wanted: unknown, message?: string): boolean {
    return this.#compare(strict(value, wanted), message)
  }

  match(value: unknown, pattern: unknown, message?: string): boolean {
    return this.#compare(match(value, pattern), message)
  }

  notMatch(value: unknown, pattern: unknown, message?: string): boolean {
    return this.#tell(!match(value, pattern).match, message, () => format(value))
  }

  type(value: unknown, type: string, message?: string): boolean {
    return this.equal(typeof value, type, message)
  }

  throws(act: () => unknown, pattern?: unknown, message?: string): boolean {
    return this.#fails(thrown(act), pattern, message)
  }

  doesNotThrow(act: () => unknown, message?: string): boolean {
    const failed = thrown(act)
    return this.#tell(!failed, message, () => format(failed))
  }

  async rejects(acts: Acts, pattern?: unknown, message?: string): Promise<boolean> {
    return this.#fails(await failure(acts), pattern, message)
  }

  #fails(failed: { error: unknown } | undefined, pattern: unknown, message?: string): boolean {
    if (!failed) return this.fail(message ?? 'it did not fail')
    if (pattern === undefined || typeof pattern === 'string') return this.pass(String(pattern ?? message))
    const { error } = failed
    return this.match(pattern instanceof RegExp ? (error as Error).message : error, pattern, message)
  }

  /** Replaces a method until the test ends, and records its calls. */
  capture(
    target: object,
    name: string,
    act: (...args: unknown[]) => unknown = () => {}
  ): () => { args: unknown[] }[] {
    const calls: { args: unknown[] }[] = []
    this.intercept(target, name, {
      value: (...args: unknown[]) => {
        calls.push({ args })
        return act(...args)
      }
    })
    return () => calls.splice(0)
  }

  /** Replaces a property until the test ends. */
  intercept(target: object, name: string, property: PropertyDescriptor): void {
    const before = Object.getOwnPropertyDescriptor(target, name)
    Object.defineProperty(target, name, { configurable: true, ...property })
    this.teardown(() =>
      before ? Object.defineProperty(target, name, before) : Reflect.deleteProperty(target, name)
    )
  }
}

const t = new Test('')
export default t
