// How a side says what a peer may touch: `expose()` for one object, `@exposed` for members of a class.

import { travelOf } from '../codec/classify.js'
import { exposing, grants, ROOT } from '../codec/grants.js'
import { knowSymbol, type Name } from '../protocol/path.js'
import type { Exposed } from '../types/netref.js'
import type { Session } from '../types/session.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { checkOptions, type OptionKinds } from '../util/check-options.js'
import { isNetref, shared } from '../util/copies.js'
import { type Checking, checkArguments, isSchema } from './schema.js'

export interface ExposeOptions {
  /**
   * Names, and symbols, that may be read and called.
   *
   * @default its public members, looked up live: those that do not start with `_`
   */
  readonly read?: Iterable<PropertyKey> | undefined
  /**
   * Names that may be set and deleted, if they may be read, too.
   *
   * @default none
   */
  readonly write?: Iterable<PropertyKey> | undefined
  /** What its members are for, by name: `Netref.describe` tells it. @default nothing is said */
  readonly help?: Readonly<Record<string, string>> | undefined
  /** Told once per session when its peer has let go of the last netref to the object, or the session ended. */
  readonly released?: (() => void) | undefined
}

const EXPOSE_OPTIONS: OptionKinds<ExposeOptions> = {
  read: '',
  write: '',
  help: 'an object',
  released: 'a function'
}

/**
 * Makes the root of a session go by reference in every session, whatever kind of object it is: its data and private
 * members stay here. An object that was exposed keeps its members.
 */
export function declareRoot<T extends object>(object: T): T {
  if (typeof object === 'function' || isNetref(object) || grants.has(object)) return object
  if (travelOf(object).as === 'reference') return object
  grants.set(object, ROOT)
  exposing.values = true
  return object
}

/**
 * Hands an object over by reference, with these members, in every session; a second call replaces the first. For
 * other rights to the same thing hand out another object.
 *
 * @returns the object itself
 * @throws TypeError for a primitive, for a netref, which its home exposes, and for what is no option
 * @example
 * await conn.root.line_counter(expose(file), console.log)
 * await conn.root.edit(expose(doc, { read: ['title', 'text'], write: ['text'] }))
 */
export function expose<T extends object>(object: T, options: ExposeOptions = {}): T & Exposed<T> {
  if ((typeof object !== 'object' || object === null) && typeof object !== 'function') {
    throw new TypeError(`expose: ${String(object)} is not an object`)
  }
  if (isNetref(object)) throw new TypeError(`expose: ${String(object)} is remote: its home exposes it`)
  checkOptions('expose', options, EXPOSE_OPTIONS)
  const { read, write = [], help = {}, released } = options
  grants.set(object, {
    read: read && namesOf('read', read),
    write: namesOf('write', write),
    help: new Map(Object.entries(help)),
    released
  })
  if (typeof object === 'object' && travelOf(object).as !== 'reference') exposing.values = true
  return object as T & Exposed<T>
}

function namesOf(option: string, keys: Iterable<PropertyKey>): Set<PropertyKey> {
  if (typeof keys === 'string') throw new TypeError(`expose: ${option} is a list of names: ['${keys}']`)
  const names = [...keys].map(key => (typeof key === 'number' ? String(key) : key))
  names.forEach(knowSymbol)
  return new Set(names)
}

/** What `@exposed` says of a member besides that it is exposed. */
export interface ExposedOptions {
  /**
   * Whether the peer of a session may use it. For others it does not exist; so it is for all if this throws, which is
   * reported, and `Netref.keys` agrees.
   *
   * @default every peer may
   */
  if?(session: Session): boolean
  /** What its list of arguments has to be: any Standard Schema. The method is given what the schema makes of them. */
  readonly schema?: StandardSchema | undefined
  /** What it is for: `Netref.describe` tells it. @default nothing is said */
  readonly help?: string | undefined
}

const EXPOSED_OPTIONS: OptionKinds<ExposedOptions> = { if: 'a function', schema: '', help: 'a string' }

/** What holds for the use of a member. */
export interface Rule extends Pick<ExposedOptions, 'if'> {
  /** The arguments as the method is to be given them. Here, so that only who writes `@exposed` loads what checks them. */
  check?(name: Name | undefined, args: unknown[]): unknown[]
}
/** What `@exposed` says of a member. */
export interface Mark extends Rule, Pick<ExposedOptions, 'help'> {}

const marks = shared('marks/1', () => new WeakMap<object, Mark>())
const markedNames = shared('marked-names/1', () => new Set<PropertyKey>())
/** Rules by the function they are about: they go with it, however a peer comes to call it. */
const rules = shared('rules/1', () => new WeakMap<object, Rule>())
const ruledNames = shared('ruled-names/1', () => new Set<PropertyKey>())

/** Whether a member of that name is under a rule anywhere: for no other name one needs to be looked up. */
export const isRuledName = (name: PropertyKey): boolean => ruledNames.has(name)
/** The rule that holds for a function. */
export const ruleOf = (fn: object): Rule | undefined => (ruledNames.size === 0 ? undefined : rules.get(fn))
/** Puts a function under the rule of the member it overrides. */
export const inheritRule = (fn: object, rule: Rule): void => void rules.set(fn, rule)

type ExposableContext =
  | ClassMethodDecoratorContext
  | ClassGetterDecoratorContext
  | ClassAccessorDecoratorContext
type Exposable = (target: unknown, context: ExposableContext) => void

/**
 * Exposes a method, getter or accessor under its own name: the same as the `exposed_` prefix. What overrides it in a
 * subclass is exposed as well, under the same rules. Of several decorators it is written first.
 *
 * @throws TypeError where it cannot stand
 * @example
 * class Clock extends Service {
 *   @exposed now() { return new Date() }
 *   @exposed(z.tuple([z.date()])) alarm(at: Date) { … }
 *   @exposed({ if: session => session.identity === 'ada', help: 'Stops the clock' }) stop() { … }
 * }
 */
export function exposed(target: unknown, context: ExposableContext): void
export function exposed<S extends StandardSchema>(schema: S): Checking<S>
export function exposed<S extends StandardSchema>(
  options: ExposedOptions & { readonly schema: S }
): Checking<S>
export function exposed(options: ExposedOptions & { readonly schema?: undefined }): Exposable
export function exposed(first: unknown, context?: ExposableContext): unknown {
  if (context !== undefined) return mark(first, context, {})
  if (!isSchema(first)) checkOptions('@exposed', first, EXPOSED_OPTIONS)
  const options = isSchema(first) ? { schema: first } : (first as ExposedOptions)
  return (target: unknown, context: ExposableContext) => mark(target, context, options)
}

/** What a decorator stands on. @throws TypeError where TypeScript was told to call it as decorators were called once */
function standing<C extends ExposableContext>(decorator: string, context: C): C {
  if (typeof context === 'object') return context
  throw new TypeError(
    `@${decorator} ${String(context)}: it needs standard decorators: turn \`experimentalDecorators\` off, or use the exposed_ prefix`
  )
}

function mark(target: unknown, context: ExposableContext, options: ExposedOptions): void {
  const { kind, name, private: hidden } = standing('exposed', context)
  if ((kind !== 'method' && kind !== 'getter' && kind !== 'accessor') || hidden) {
    throw new TypeError(
      `@exposed ${String(name)}: it goes on public methods, getters and accessors (\`@exposed accessor ${String(name)}\` for a field)`
    )
  }
  if (options.schema && kind !== 'method') {
    throw new TypeError(`@exposed ${String(name)}: a schema is for the arguments of a method`)
  }
  knowSymbol(name)
  const member = kind === 'accessor' ? (target as { get: object }).get : (target as object)
  markedNames.add(name)
  const { schema } = options
  const said: Mark = schema ? { ...options, check: (...call) => checkArguments(schema, ...call) } : options
  marks.set(member, said)
  if (!said.if && !said.check) return
  ruledNames.add(name)
  if (kind === 'method') rules.set(member, said)
}

const idempotents = shared('idempotents/1', () => new WeakSet<object>())

/**
 * Marks a method that may be carried out twice and does the same as if once: a client that renews its session makes
 * calls of it again whose answers were lost with the session before.
 *
 * @example
 * class Store extends Service {
 *   @exposed @idempotent put(key: string, value: string) { this.values.set(key, value) }
 * }
 */
export function idempotent(method: (...args: never) => unknown, context: ClassMethodDecoratorContext): void {
  const { kind, name } = standing('idempotent', context)
  if (kind !== 'method') throw new TypeError(`@idempotent ${String(name)}: it goes on methods`)
  idempotents.add(method)
}

export const isIdempotent = (fn: unknown): boolean => typeof fn === 'function' && idempotents.has(fn)

/** Whether `@exposed` stands on a member of that name anywhere: no other name needs to be looked up for that. */
export const isMarkedName = (name: PropertyKey): boolean => markedNames.has(name)

/** What `@exposed` said of this very descriptor, if it came from there. */
export const markOf = ({ get, value }: PropertyDescriptor): Mark | undefined =>
  get ? marks.get(get) : typeof value === 'function' ? marks.get(value) : undefined
