// How a side says what a peer may touch: `expose()` for one object, `@exposed` for members of a class.

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

const EXPOSE_OPTIONS: OptionTypes<ExposeOptions> = {
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
  if (classify(object).as === 'reference') return object
  grants.set(object, ROOT_GRANT)
  exposedValues.any = true
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
    read: read && checkedNames('read', read),
    write: checkedNames('write', write),
    help: new Map(Object.entries(help)),
    released
  })
  if (typeof object === 'object' && classify(object).as !== 'reference') exposedValues.any = true
  return object as T & Exposed<T>
}

function checkedNames(option: string, keys: Iterable<PropertyKey>): Set<PropertyKey> {
  if (typeof keys === 'string') throw new TypeError(`expose: ${option} is a list of names: ['${keys}']`)
  const names = [...keys].map(key => (typeof key === 'number' ? String(key) : key))
  names.forEach(registerSymbol)
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

const EXPOSED_OPTIONS: OptionTypes<ExposedOptions> = { if: 'a function', schema: '', help: 'a string' }

/** What holds for the use of a member. */
export interface AccessRule extends Pick<ExposedOptions, 'if'> {
  /** The arguments as the method is to be given them. Here, so that only who writes `@exposed` loads what checks them. */
  check?(name: MemberName | undefined, args: unknown[]): unknown[]
}
/** What `@exposed` says of a member. */
export interface ExposedMetadata extends AccessRule, Pick<ExposedOptions, 'help'> {}

const metadataByMember = sharedInRealm('marks/1', () => new WeakMap<object, ExposedMetadata>())
const exposedNames = sharedInRealm('marked-names/1', () => new Set<PropertyKey>())
/** Rules by the function they are about: they go with it, however a peer comes to call it. */
const rulesByFunction = sharedInRealm('rules/1', () => new WeakMap<object, AccessRule>())
const namesWithRules = sharedInRealm('ruled-names/1', () => new Set<PropertyKey>())

/** Whether a member of that name is under a rule anywhere: for no other name one needs to be looked up. */
export const hasRuleAnywhere = (name: PropertyKey): boolean => namesWithRules.has(name)
/** The rule that holds for a function. */
export const accessRuleOf = (fn: object): AccessRule | undefined =>
  namesWithRules.size === 0 ? undefined : rulesByFunction.get(fn)
/** Puts a function under the rule of the member it overrides. */
export const inheritAccessRule = (fn: object, rule: AccessRule): void => void rulesByFunction.set(fn, rule)

type MemberContext = ClassMethodDecoratorContext | ClassGetterDecoratorContext | ClassAccessorDecoratorContext
type MemberDecorator = (target: unknown, context: MemberContext) => void

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

/** What a decorator stands on. @throws TypeError where TypeScript was told to call it as decorators were called once */
function requireStandardDecorator<C extends MemberContext>(decorator: string, context: C): C {
  if (typeof context === 'object') return context
  throw new TypeError(
    `@${decorator} ${String(context)}: it needs standard decorators: turn \`experimentalDecorators\` off, or use the exposed_ prefix`
  )
}

function markExposed(target: unknown, context: MemberContext, options: ExposedOptions): void {
  const { kind, name, private: isPrivate } = requireStandardDecorator('exposed', context)
  if ((kind !== 'method' && kind !== 'getter' && kind !== 'accessor') || isPrivate) {
    throw new TypeError(
      `@exposed ${String(name)}: it goes on public methods, getters and accessors (\`@exposed accessor ${String(name)}\` for a field)`
    )
  }
  if (options.schema && kind !== 'method') {
    throw new TypeError(`@exposed ${String(name)}: a schema is for the arguments of a method`)
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
  namesWithRules.add(name)
  if (kind === 'method') rulesByFunction.set(member, metadata)
}

const idempotentMethods = sharedInRealm('idempotents/1', () => new WeakSet<object>())

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
  const { kind, name } = requireStandardDecorator('idempotent', context)
  if (kind !== 'method') throw new TypeError(`@idempotent ${String(name)}: it goes on methods`)
  idempotentMethods.add(method)
}

export const isIdempotent = (fn: unknown): boolean => typeof fn === 'function' && idempotentMethods.has(fn)

/** Whether `@exposed` stands on a member of that name anywhere: no other name needs to be looked up for that. */
export const isExposedAnywhere = (name: PropertyKey): boolean => exposedNames.has(name)

/** What `@exposed` said of this very descriptor, if it came from there. */
export const exposedMetadataOf = ({ get, value }: PropertyDescriptor): ExposedMetadata | undefined =>
  get ? metadataByMember.get(get) : typeof value === 'function' ? metadataByMember.get(value) : undefined
