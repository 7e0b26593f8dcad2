// Declares what a peer may use: `expose()` for one object, `@exposed` for the members of a class.

import { classify } from '../codec/classify.js'
import { exposedValues, grants, ROOT_GRANT } from '../codec/grants.js'
import { type MemberName, registerSymbol } from '../protocol/path.js'
import type { Exposed } from '../types/netref.js'
import type { Session } from '../types/session.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { isNetref, sharedInRealm } from '../util/library-copies.js'
import { checkArguments, isSchema, type SchemaDecorator } from './schema.js'

export interface ExposeOptions {
  /**
   * The names and symbols of members that the peer may read and call.
   *
   * @default the public members, looked up at each use: those whose names do not start with `_`
   */
  readonly read?: Iterable<PropertyKey> | undefined
  /**
   * The names of members that the peer may set and delete, if it may also read them.
   *
   * @default none
   */
  readonly write?: Iterable<PropertyKey> | undefined
  /** Help texts of the members, by name. `Netref.describe` returns them. @default no help texts */
  readonly help?: Readonly<Record<string, string>> | undefined
  /** Called once per session, when its peer has released the last netref to the object or the session has ended. */
  readonly released?: (() => void) | undefined
}

const EXPOSE_OPTIONS: OptionTypes<ExposeOptions> = {
  read: '',
  write: '',
  help: 'an object',
  released: 'a function'
}

/**
 * Makes every session pass the root of a session by reference, whatever its type. Its data and private members are not
 * sent. An object that `expose()` exposed keeps its members.
 */
export function declareRoot<T extends object>(object: T): T {
  if (typeof object === 'function' || isNetref(object) || grants.has(object)) return object
  if (classify(object).as === 'reference') return object
  grants.set(object, ROOT_GRANT)
  exposedValues.any = true
  return object
}

/**
 * Makes every session pass an object by reference, with these members. A second call replaces the first one. To give
 * other rights to the same data, pass another object.
 *
 * @returns the object itself
 * @throws TypeError for a primitive, for a netref, which only its owner exposes, and for an invalid option
 * @example
 * await conn.root.line_counter(expose(file), console.log)
 * await conn.root.edit(expose(doc, { read: ['title', 'text'], write: ['text'] }))
 */
export function expose<T extends object>(object: T, options: ExposeOptions = {}): T & Exposed<T> {
  if ((typeof object !== 'object' || object === null) && typeof object !== 'function') {
    throw new TypeError(`expose: ${String(object)} is not an object`)
  }
  if (isNetref(object))
    throw new TypeError(`expose: ${String(object)} is remote; expose it on the side that owns it`)
  checkOptions('expose', options, EXPOSE_OPTIONS)
  const { read, write = [], help = {}, released } = options
  grants.set(object, {
    read: read && checkedNames('read', read),
    write: checkedNames('write', write),
    help: new Map(Object.entries(help)),
    released
  })
  if (typeof object === 'object' && classify(object).as !== 'reference') exposedValues.any = true
  return object as T & Exposed<T>
}

function checkedNames(option: string, keys: Iterable<PropertyKey>): Set<PropertyKey> {
  if (typeof keys === 'string')
    throw new TypeError(`expose: \`${option}\` must be a list of names, such as ['${keys}']`)
  const names = [...keys].map(key => (typeof key === 'number' ? String(key) : key))
  names.forEach(registerSymbol)
  return new Set(names)
}

/** Options of `@exposed`. */
export interface ExposedOptions {
  /**
   * Whether the peer of a session may use the member. For other peers the member does not exist, and `Netref.keys` does
   * not list it. If the function throws, the peer may not use the member either, and the error is reported.
   *
   * @default every peer may use it
   */
  if?(session: Session): boolean
  /** A Standard Schema for the list of arguments. The method receives the output of the schema. */
  readonly schema?: StandardSchema | undefined
  /** The help text of the member. `Netref.describe` returns it. @default no help text */
  readonly help?: string | undefined
}

const EXPOSED_OPTIONS: OptionTypes<ExposedOptions> = { if: 'a function', schema: '', help: 'a string' }

/** The condition for the use of a member with `@exposed`. */
export interface ExposedCondition extends Pick<ExposedOptions, 'if'> {
  /** Returns the arguments for the method. It is part of the condition, so that only users of `@exposed` load the checks. */
  check?(name: MemberName | undefined, args: unknown[]): unknown[]
}
/** The metadata of a member with `@exposed`. */
export interface ExposedMetadata extends ExposedCondition, Pick<ExposedOptions, 'help'> {}

const metadataByMember = sharedInRealm('marks/1', () => new WeakMap<object, ExposedMetadata>())
const exposedNames = sharedInRealm('marked-names/1', () => new Set<PropertyKey>())
/** Conditions by function. A condition holds for its function, whichever way a peer reaches it. */
const conditionsByFunction = sharedInRealm('rules/1', () => new WeakMap<object, ExposedCondition>())
const namesWithConditions = sharedInRealm('ruled-names/1', () => new Set<PropertyKey>())

/** Whether any member of that name has a condition. Other names need no lookup. */
export const hasConditionAnywhere = (name: PropertyKey): boolean => namesWithConditions.has(name)
/** The condition of a function. */
export const conditionOf = (fn: object): ExposedCondition | undefined =>
  namesWithConditions.size === 0 ? undefined : conditionsByFunction.get(fn)
/** Gives a function the condition of the member that it overrides. */
export const inheritCondition = (fn: object, condition: ExposedCondition): void =>
  void conditionsByFunction.set(fn, condition)

type MemberContext = ClassMethodDecoratorContext | ClassGetterDecoratorContext | ClassAccessorDecoratorContext
type MemberDecorator = (target: unknown, context: MemberContext) => void

/**
 * Exposes a method, getter or accessor under its own name, as the `exposed_` prefix does. An override in a subclass is
 * exposed as well, under the same condition. `@exposed` must be the first of several decorators.
 *
 * @throws TypeError for a target that it cannot expose
 * @example
 * class Clock extends Service {
 *   @exposed now() { return new Date() }
 *   @exposed(z.tuple([z.date()])) alarm(at: Date) { … }
 *   @exposed({ if: session => session.identity === 'ada', help: 'Stops the clock' }) stop() { … }
 * }
 */
export function exposed(target: unknown, context: MemberContext): void
export function exposed<S extends StandardSchema>(schema: S): SchemaDecorator<S>
export function exposed<S extends StandardSchema>(
  options: ExposedOptions & { readonly schema: S }
): SchemaDecorator<S>
export function exposed(options: ExposedOptions & { readonly schema?: undefined }): MemberDecorator
export function exposed(first: unknown, context?: MemberContext): unknown {
  if (context !== undefined) return markExposed(first, context, {})
  if (!isSchema(first)) checkOptions('@exposed', first, EXPOSED_OPTIONS)
  const options = isSchema(first) ? { schema: first } : (first as ExposedOptions)
  return (target: unknown, context: MemberContext) => markExposed(target, context, options)
}

/**
 * Returns the context of a decorator.
 *
 * @throws TypeError if TypeScript calls it as a legacy decorator (`experimentalDecorators`)
 */
function requireStandardDecorator<C extends MemberContext>(decorator: string, context: C): C {
  if (typeof context === 'object') return context
  throw new TypeError(
    `@${decorator} ${String(context)}: it requires standard decorators; turn \`experimentalDecorators\` off, or use the exposed_ prefix`
  )
}

function markExposed(target: unknown, context: MemberContext, options: ExposedOptions): void {
  const { kind, name, private: isPrivate } = requireStandardDecorator('exposed', context)
  if ((kind !== 'method' && kind !== 'getter' && kind !== 'accessor') || isPrivate) {
    throw new TypeError(
      `@exposed ${String(name)}: only public methods, getters and accessors can be exposed (\`@exposed accessor ${String(name)}\` for a field)`
    )
  }
  if (options.schema && kind !== 'method') {
    throw new TypeError(`@exposed ${String(name)}: only a method can have a schema`)
  }
  registerSymbol(name)
  const member = kind === 'accessor' ? (target as { get: object }).get : (target as object)
  exposedNames.add(name)
  const { schema } = options
  const metadata: ExposedMetadata = schema
    ? { ...options, check: (...call) => checkArguments(schema, ...call) }
    : options
  metadataByMember.set(member, metadata)
  if (!metadata.if && !metadata.check) return
  namesWithConditions.add(name)
  if (kind === 'method') conditionsByFunction.set(member, metadata)
}

const idempotentMethods = sharedInRealm('idempotents/1', () => new WeakSet<object>())

/**
 * Marks a method as idempotent: two runs must have the same effect as one. A client that renews its session repeats
 * those calls of the method whose replies were lost with the previous session.
 *
 * @example
 * class Store extends Service {
 *   @exposed @idempotent put(key: string, value: string) { this.values.set(key, value) }
 * }
 */
export function idempotent(method: (...args: never) => unknown, context: ClassMethodDecoratorContext): void {
  const { kind, name } = requireStandardDecorator('idempotent', context)
  if (kind !== 'method') throw new TypeError(`@idempotent ${String(name)}: only a method can be idempotent`)
  idempotentMethods.add(method)
}

export const isIdempotent = (fn: unknown): boolean => typeof fn === 'function' && idempotentMethods.has(fn)

/** Whether any member of that name has `@exposed`. Other names need no lookup. */
export const isExposedAnywhere = (name: PropertyKey): boolean => exposedNames.has(name)

/** The `@exposed` metadata of exactly this descriptor, if it has any. */
export const exposedMetadataOf = ({ get, value }: PropertyDescriptor): ExposedMetadata | undefined =>
  get ? metadataByMember.get(get) : typeof value === 'function' ? metadataByMember.get(value) : undefined
