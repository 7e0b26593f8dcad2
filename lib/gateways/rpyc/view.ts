// Objects of this side as Python uses them: what each operation of Python does with a netref, a copied mapping, a set, an
// iterator or a function.

import type { Description, Netref as NetrefOf } from '../../index.js'
import { ExposureError, Netref } from '../../index.js'
import type { Any } from '../../util/any.js'
import { describeValue, quote } from '../../util/describe.js'
import type { MethodPath } from '../support/methods.js'
import { orderArguments } from '../support/named-arguments.js'
import { pythonError } from './python-error.js'

/** A method of an object, and its help text, as Python's `INSPECT` asks for them. */
export type Method = readonly [name: string, help: string | null]

/** An object of this side as Python uses it. Each operation returns a value or a promise of it, or throws. */
export abstract class View {
  /** The name of the class that Python sees. It knows the methods of `builtins.…`, and asks for those of others. */
  abstract readonly className: string
  /** What arrives here if Python passes the object. */
  abstract readonly value: object

  abstract get(name: string): unknown
  /** Calls a member. A name like `__len__` is what Python's own syntax calls. */
  abstract callMember(name: string, args: unknown[]): unknown
  abstract inspect(): readonly Method[] | Promise<readonly Method[]>
  abstract dir(): unknown

  call(_args: unknown[]): unknown {
    throw pythonError('TypeError', `${this} is not callable`)
  }
  set(name: string, _value: unknown): unknown {
    throw cannotAccess(name)
  }
  delete(name: string): unknown {
    throw cannotAccess(name)
  }
  /** The next items, at most `count`; none at the end. */
  take(_count: number): unknown {
    throw pythonError('TypeError', `${this} is not an iterator`)
  }
  /** The parameters of a member, or of the function itself; undefined if they are not known. */
  async parametersOf(_name: string | undefined): Promise<readonly string[] | undefined> {
    return undefined
  }
  /** The name of the function that the object is, for error texts. */
  protected get functionName(): string {
    return 'the function'
  }
  /** Python has left its `with` block. */
  exit(): unknown {
    return undefined
  }
  /** The netrefs in a copied object, which live as long as Python holds it. */
  get parts(): ReadonlySet<object> {
    return NO_PARTS
  }
  /** Nothing here holds the object any more. */
  release(): void {}

  /** Positional arguments for positional and keyword arguments. */
  async withKeywords(
    name: string | undefined,
    args: readonly unknown[],
    keywords: Readonly<Record<string, unknown>>
  ): Promise<unknown[]> {
    const parameters = await this.parametersOf(name)
    return [...args, ...orderArguments(name ?? this.functionName, parameters, keywords, args.length)]
  }
}

const NO_PARTS: ReadonlySet<object> = new Set()

/** The netrefs in an arrived value, at any depth. */
function netrefsIn(value: object): ReadonlySet<object> {
  const netrefs = new Set<object>()
  // The loop also visits what is added to the set meanwhile.
  const seen = new Set<unknown>([value])
  for (const item of seen) {
    if (Netref.is(item)) netrefs.add(item)
    else if (item instanceof Map) for (const part of [...item.keys(), ...item.values()]) seen.add(part)
    else if (item instanceof Set) for (const part of item) seen.add(part)
    else if (typeof item === 'object' && item !== null && !ArrayBuffer.isView(item))
      for (const part of Object.values(item)) seen.add(part)
  }
  return netrefs
}

export const cannotAccess = (name: string): Error =>
  pythonError('AttributeError', `${quote(name)} is not exposed or missing`)

/** Names of Python's own syntax are no members of objects here. */
const isSpecial = (name: string): boolean => name.startsWith('__')

const EXPOSED_PREFIX = 'exposed_'
/** RPyC's clients may write `root.exposed_add` for `root.add`. */
const memberName = (name: string): string =>
  name.startsWith(EXPOSED_PREFIX) ? name.slice(EXPOSED_PREFIX.length) : name

const helpOf = ({ help }: Description): string | null => help ?? null
const withoutHelp = (name: string): Method => [name, null]

/** Methods that Python's syntax calls, and the members of an object that stand for each: one of them must be there. */
const MEMBERS_FOR_METHODS: readonly (readonly [method: string, members: readonly string[]])[] = [
  ['__len__', ['length', 'size']],
  ['__getitem__', ['get', 'length']],
  ['__contains__', ['has', 'includes']]
]

/** A netref to an object. */
export class NetrefView extends View {
  readonly className: string = 'netref.Netref'
  #descriptions: Promise<readonly Description[]> | undefined

  constructor(readonly value: NetrefOf<object>) {
    super()
  }

  member(name: string): MethodPath {
    return Netref.get(this.value as NetrefOf<Any>, memberName(name)) as unknown as MethodPath
  }

  get(name: string): unknown {
    if (isSpecial(name)) throw cannotAccess(name)
    return this.member(name)
  }

  override set(name: string, value: unknown): unknown {
    return Netref.set(this.value as NetrefOf<Any>, memberName(name), value)
  }

  override delete(name: string): unknown {
    return Netref.delete(this.value as NetrefOf<Any>, memberName(name))
  }

  callMember(name: string, args: unknown[]): unknown {
    if (!isSpecial(name)) return this.member(name)(...args)
    switch (name) {
      case '__iter__':
        return (this.value as unknown as AsyncIterable<unknown>)[Symbol.asyncIterator]()
      case '__enter__':
        return this.value
      case '__len__':
        return this.#length()
      case '__getitem__':
        return this.#item(args[0])
      case '__contains__':
        return this.#contains(args[0])
      default:
        throw cannotAccess(name)
    }
  }

  async inspect(): Promise<readonly Method[]> {
    const descriptions = await this.describe().catch(() => [])
    const names = new Set(descriptions.map(({ name }) => name))
    return [
      ...descriptions.filter(({ kind }) => kind === 'function').map(one => [one.name, helpOf(one)] as const),
      ...MEMBERS_FOR_METHODS.filter(([, members]) => members.some(name => names.has(name))).map(([name]) =>
        withoutHelp(name)
      ),
      ...['__iter__', '__enter__', '__exit__'].map(withoutHelp)
    ]
  }

  dir(): unknown {
    return Netref.keys(this.value)
  }

  override async parametersOf(name: string | undefined): Promise<readonly string[] | undefined> {
    return name === undefined ? undefined : (await this.description(name))?.parameters
  }

  /** The description of a member; undefined if it has none. */
  async description(name: string): Promise<Description | undefined> {
    const descriptions = await this.describe()
    return descriptions.find(one => one.name === memberName(name))
  }

  /** Described once: members do not change often, and Python asks for one after the other. */
  describe(): Promise<readonly Description[]> {
    this.#descriptions ??= Netref.describe(this.value)
    return this.#descriptions
  }

  override exit(): unknown {
    Netref.release(this.value)
    return false
  }

  override release(): void {
    Netref.release(this.value)
  }

  override toString(): string {
    return String(this.value)
  }

  async #has(name: string): Promise<boolean> {
    return (await this.description(name)) !== undefined
  }

  async #length(): Promise<unknown> {
    return this.member((await this.#has('length')) ? 'length' : 'size')
  }

  async #item(key: unknown): Promise<unknown> {
    if (await this.#has('get')) return this.member('get')(key)
    if (typeof key !== 'string' && typeof key !== 'number')
      throw pythonError('TypeError', `${describeValue(key)} is neither an index nor a name`)
    const index = typeof key === 'number' && key < 0 ? key + Number(await this.#length()) : key
    try {
      return await this.member(String(index))
    } catch (error) {
      if (error instanceof ExposureError)
        throw pythonError(typeof key === 'number' ? 'IndexError' : 'KeyError', key)
      throw error
    }
  }

  async #contains(item: unknown): Promise<unknown> {
    return this.member((await this.#has('has')) ? 'has' : 'includes')(item)
  }
}

/** The root of a connection. Python knows what an `object` can do, and saves the round trip of asking. */
export class RootView extends NetrefView {
  override readonly className = 'builtins.object'
}

/** Where a function was read: the owner describes its parameters. */
export interface FunctionOrigin {
  readonly owner: NetrefView
  readonly name: string
}

/** A netref to a function. */
export class FunctionView extends View {
  readonly className = 'builtins.function'

  constructor(
    readonly value: NetrefOf<Any>,
    private readonly origin: FunctionOrigin | undefined
  ) {
    super()
  }

  get(name: string): unknown {
    if (name === '__name__') return this.origin?.name ?? 'function'
    if (name === '__doc__') return this.origin?.owner.description(this.origin.name).then(one => one?.help)
    if (isSpecial(name)) throw cannotAccess(name)
    return Netref.get(this.value, name)
  }

  override call(args: unknown[]): unknown {
    return Reflect.apply(this.value as (...args: unknown[]) => unknown, undefined, args)
  }

  callMember(name: string, args: unknown[]): unknown {
    if (name === '__call__') return this.call(args)
    if (isSpecial(name)) throw cannotAccess(name)
    return (Netref.get(this.value, name) as unknown as MethodPath)(...args)
  }

  inspect(): readonly Method[] {
    return [withoutHelp('__call__')]
  }

  dir(): unknown {
    return Netref.keys(this.value)
  }

  protected override get functionName(): string {
    return this.origin?.name ?? super.functionName
  }

  override async parametersOf(name: string | undefined): Promise<readonly string[] | undefined> {
    return name === undefined ? this.origin?.owner.parametersOf(this.origin.name) : undefined
  }

  override release(): void {
    Netref.release(this.value)
  }

  override toString(): string {
    return String(this.value)
  }
}

/** A function of the gateway: a method of a view. */
export class MethodView extends View {
  readonly className = 'builtins.function'

  constructor(
    readonly value: (...args: unknown[]) => unknown,
    private readonly name: string
  ) {
    super()
  }

  get(name: string): unknown {
    if (name === '__name__') return this.name
    throw cannotAccess(name)
  }

  override call(args: unknown[]): unknown {
    return this.value(...args)
  }

  callMember(name: string, args: unknown[]): unknown {
    if (name === '__call__') return this.call(args)
    throw cannotAccess(name)
  }

  inspect(): readonly Method[] {
    return [withoutHelp('__call__')]
  }

  dir(): unknown {
    return []
  }

  override toString(): string {
    return `<method ${this.name}>`
  }
}

/** The methods of a view whose object is here. */
type Methods = Readonly<Record<string, (...args: Any[]) => unknown>>

/** An object that Python uses by methods which are here. */
abstract class LocalView extends View {
  protected abstract readonly methods: Methods

  get(name: string): unknown {
    const method = this.#method(name)
    if (!method || isSpecial(name)) throw cannotAccess(name)
    return new MethodView(method, name)
  }

  callMember(name: string, args: unknown[]): unknown {
    const method = this.#method(name)
    if (!method) throw cannotAccess(name)
    return method(...args)
  }

  inspect(): readonly Method[] {
    return Object.keys(this.methods).map(withoutHelp)
  }

  dir(): unknown {
    return Object.keys(this.methods)
  }

  #method(name: string): Methods[string] | undefined {
    return Object.hasOwn(this.methods, name) ? this.methods[name] : undefined
  }
}

/** A copied object. */
abstract class CopyView extends LocalView {
  #parts: ReadonlySet<object> | undefined

  override get parts(): ReadonlySet<object> {
    this.#parts ??= netrefsIn(this.value)
    return this.#parts
  }
}

/** A copied plain object or Map: a dict. The fields of a plain object are attributes, too. */
export class MappingView extends CopyView {
  readonly className = 'builtins.dict'
  readonly #entries: ReadonlyMap<unknown, unknown>
  protected readonly methods: Methods = {
    keys: () => [...this.#entries.keys()],
    values: () => [...this.#entries.values()],
    items: () => [...this.#entries],
    get: (key: unknown, fallback: unknown = null) =>
      this.#entries.has(key) ? this.#entries.get(key) : fallback,
    __len__: () => this.#entries.size,
    __iter__: () => this.#entries.keys(),
    __contains__: (key: unknown) => this.#entries.has(key),
    __getitem__: (key: unknown) => {
      if (this.#entries.has(key)) return this.#entries.get(key)
      throw pythonError('KeyError', key)
    }
  }

  constructor(
    readonly value: object,
    /** The fields of a plain object; undefined for a Map. */
    private readonly fields: Readonly<Record<string, unknown>> | undefined
  ) {
    super()
    this.#entries = fields ? new Map(Object.entries(fields)) : (value as Map<unknown, unknown>)
  }

  override get(name: string): unknown {
    return this.fields && Object.hasOwn(this.fields, name) ? this.fields[name] : super.get(name)
  }

  override callMember(name: string, args: unknown[]): unknown {
    const field = this.fields && Object.hasOwn(this.fields, name) ? this.fields[name] : undefined
    return typeof field === 'function' ? Reflect.apply(field, undefined, args) : super.callMember(name, args)
  }

  override dir(): unknown {
    return [...Object.keys(this.fields ?? {}), ...Object.keys(this.methods)]
  }

  override toString(): string {
    return `{${[...this.#entries].map(([key, value]) => `${textOf(key)}: ${textOf(value)}`).join(', ')}}`
  }
}

/** A copied Set that holds more than plain values. */
export class SetView extends CopyView {
  readonly className = 'builtins.set'
  protected readonly methods: Methods = {
    __len__: () => this.value.size,
    __iter__: () => this.value.values(),
    __contains__: (item: unknown) => this.value.has(item)
  }

  constructor(readonly value: ReadonlySet<unknown>) {
    super()
  }

  override toString(): string {
    return `{${[...this.value].map(textOf).join(', ')}}`
  }
}

const textOf = (value: unknown): string => describeValue(value)

type AnyIterator = Iterator<unknown> | AsyncIterator<unknown>

/** An iterator: a generator of Python. */
export class IteratorView extends LocalView {
  readonly className = 'builtins.generator'
  #isDone = false
  /** An error that came after items which Python has not got before it. */
  #failure: { readonly error: unknown } | undefined
  protected readonly methods: Methods = {
    __iter__: () => this.value,
    __next__: () => this.#next(),
    __enter__: () => this.value,
    send: (value: unknown) => this.#next(value ?? undefined),
    close: () => this.exit()
  }

  constructor(
    readonly value: object,
    private readonly iterator: AnyIterator
  ) {
    super()
  }

  async #next(sent?: unknown): Promise<unknown> {
    if (this.#failure) {
      const { error } = this.#failure
      this.#failure = undefined
      throw error
    }
    if (!this.#isDone) {
      try {
        const { done, value } = await this.iterator.next(sent)
        if (!done) return value
      } catch (error) {
        this.#isDone = true
        throw error
      }
    }
    this.#isDone = true
    throw pythonError('StopIteration')
  }

  override async take(count: number): Promise<unknown> {
    const items: unknown[] = []
    try {
      while (items.length < count) items.push(await this.#next())
    } catch (error) {
      if (items.length === 0 && !this.#isStop(error)) throw error
      if (!this.#isStop(error)) this.#failure = { error }
    }
    return items
  }

  #isStop(error: unknown): boolean {
    return this.#isDone && error instanceof Error && error.name === 'StopIteration'
  }

  override async exit(): Promise<unknown> {
    if (this.#isDone) return undefined
    this.#isDone = true
    await this.iterator.return?.(undefined)
    return undefined
  }

  override release(): void {
    this.exit().then(undefined, () => {})
  }

  override toString(): string {
    return '<iterator>'
  }
}
