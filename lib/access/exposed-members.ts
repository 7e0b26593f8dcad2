// The members that a class exposes, with their options. `@exposed` and `exposes` declare them; the member rules find them.

import { type MemberName, registerSymbol } from '../protocol/path.js'
import type { Session } from '../types/session.js'
import type { StandardSchema } from '../types/standard-schema.js'
import type { OptionTypes } from '../util/check-options.js'
import { functionName } from '../util/describe.js'
import { sharedInRealm } from '../util/library-copies.js'
import { didYouMean } from '../util/nearest.js'
import { constructorOf, prototypeChain } from '../util/realms.js'
import { checkArguments } from './schema.js'

/** Options of a member, for `@exposed` and `exposes`. */
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
  /**
   * Whether two runs of the method have the same effect as one. A client that renews its session repeats those calls of
   * the method whose replies were lost with the previous session.
   *
   * @default false
   */
  readonly idempotent?: boolean | undefined
  /** The help text of the member. `Netref.describe` returns it. @default no help text */
  readonly help?: string | undefined
}

export const EXPOSED_OPTIONS: OptionTypes<ExposedOptions> = {
  if: 'a function',
  schema: '',
  idempotent: 'a boolean',
  help: 'a string'
}

/** The condition for the use of an exposed member. */
export interface ExposedCondition extends Pick<ExposedOptions, 'if'> {
  /** Returns the arguments for the method. It is part of the condition, so that only users of schemas load the checks. */
  check?(name: MemberName | undefined, args: unknown[]): unknown[]
}
/** The metadata of an exposed member. */
export interface ExposedMetadata extends ExposedCondition, Pick<ExposedOptions, 'help' | 'idempotent'> {}

/** The prefix of members that are exposed without a declaration. A session may use another one. */
export const DEFAULT_PREFIX = 'exposed_'

/** By method or getter. */
const metadataByMember = sharedInRealm('marks/1', () => new WeakMap<object, ExposedMetadata>())
const exposedNames = sharedInRealm('marked-names/1', () => new Set<PropertyKey>())
/** Fields that `exposes` lists, by the prototype of their class. A field exists on instances only. */
const fieldsByPrototype = sharedInRealm(
  'fields/1',
  () => new WeakMap<object, ReadonlyMap<PropertyKey, ExposedMetadata>>()
)
const fieldNames = sharedInRealm('field-names/1', () => new Set<PropertyKey>())
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

/** Whether any member of that name is exposed by its class. Other names need no lookup. */
export const isExposedAnywhere = (name: PropertyKey): boolean => exposedNames.has(name)
/** Whether any field of that name is exposed by its class. Other names need no lookup. */
export const isFieldAnywhere = (name: PropertyKey): boolean => fieldNames.has(name)

/** The metadata of exactly this descriptor, if its class exposes it. */
export const exposedMetadataOf = ({ get, value }: PropertyDescriptor): ExposedMetadata | undefined =>
  get ? metadataByMember.get(get) : typeof value === 'function' ? metadataByMember.get(value) : undefined
/** The metadata of a field that the class with this prototype exposes. */
export const fieldMetadataOf = (prototype: object, name: PropertyKey): ExposedMetadata | undefined =>
  fieldsByPrototype.get(prototype)?.get(name)
/** The fields that the class with this prototype exposes; undefined for a class without `exposes`. */
export const fieldsOf = (prototype: object): ReadonlyMap<PropertyKey, ExposedMetadata> | undefined =>
  fieldsByPrototype.get(prototype)

/**
 * Exposes the method or getter of a class.
 *
 * @param label the declaration and the member, for error texts
 * @throws TypeError for an option that only a method can have
 */
export function exposeMember(
  label: string,
  kind: string,
  name: MemberName,
  member: object,
  options: ExposedOptions
): void {
  for (const option of ['schema', 'idempotent'] as const) {
    if (options[option] && kind !== 'method')
      throw new TypeError(`${label}: only a method can have \`${option}\``)
  }
  const metadata = metadataOf(name, options)
  metadataByMember.set(member, metadata)
  if (kind === 'method' && isConditional(metadata)) conditionsByFunction.set(member, metadata)
}

/** Exposes fields of the class with this prototype. */
export function exposeFields(
  prototype: object,
  fields: readonly (readonly [name: MemberName, options: ExposedOptions])[]
): void {
  for (const [name] of fields) fieldNames.add(name)
  fieldsByPrototype.set(
    prototype,
    new Map(fields.map(([name, options]) => [name, metadataOf(name, options)]))
  )
}

/** The metadata for a member of that name, which lookups find from now on. */
function metadataOf(name: MemberName, options: ExposedOptions): ExposedMetadata {
  registerSymbol(name)
  exposedNames.add(name)
  const { schema } = options
  const metadata: ExposedMetadata = schema
    ? { ...options, check: (...call) => checkArguments(schema, ...call) }
    : options
  if (isConditional(metadata)) namesWithConditions.add(name)
  return metadata
}

const isConditional = (metadata: ExposedMetadata) => Boolean(metadata.if ?? metadata.check)

/**
 * Checks that an instance has the fields that its classes list.
 *
 * @throws TypeError with the name of a missing one
 */
export function checkFields(object: object): void {
  if (fieldNames.size === 0) return
  for (const prototype of prototypeChain(object)) {
    for (const name of fieldsByPrototype.get(prototype)?.keys() ?? []) {
      if (name in object) continue
      const known = [object, ...prototypeChain(object)].flatMap(at => Object.getOwnPropertyNames(at))
      const advice =
        didYouMean(String(name), known, '') || '; a listed field must exist after the constructor'
      throw new TypeError(`exposes(${nameOfClass(prototype)}): there is no member ${String(name)}${advice}`)
    }
  }
}

/* ---- One class exposes its members one way. ---- */

const checkedPrototypes = new WeakSet<object>()

/**
 * Checks the class with this prototype, and its base classes, each once. Types see one way of each class only.
 *
 * @throws TypeError for a class with prefixed members and members with `@exposed`
 */
export function checkClasses(prototype: object | null): void {
  if (exposedNames.size === 0 || prototype === null || checkedPrototypes.has(prototype)) return
  // `exposes` has checked its class.
  if (!fieldsByPrototype.has(prototype)) checkOneWay(prototype, [])
  checkClasses(Object.getPrototypeOf(prototype))
  checkedPrototypes.add(prototype)
}

/**
 * @param listed the names in the `exposes` of the class
 * @throws TypeError if the class with this prototype exposes its own members more than one way
 */
export function checkOneWay(prototype: object, listed: readonly MemberName[]): void {
  const own = Reflect.ownKeys(prototype)
  const ways: [way: string, names: readonly MemberName[]][] = [
    [
      `the prefix ${DEFAULT_PREFIX}`,
      own.filter(name => typeof name === 'string' && name.startsWith(DEFAULT_PREFIX))
    ],
    [
      '`@exposed`',
      own.filter(name => exposedMetadataOf(Object.getOwnPropertyDescriptor(prototype, name)!) !== undefined)
    ],
    ['`exposes`', listed]
  ]
  const used = ways.filter(([, names]) => names.length > 0)
  if (used.length < 2) return
  const texts = used.map(([way, names]) => `${way} exposes ${names.map(String).join(', ')}`)
  throw new TypeError(
    `${nameOfClass(prototype)} exposes its members in ${used.length} ways, but types see one way of a class: ${texts.join('; ')}; use one of them for all`
  )
}

/** The name of the class with this prototype, for error texts. */
export function nameOfClass(prototype: object): string {
  const type = constructorOf(prototype)
  return (typeof type === 'function' && functionName(type)) || 'the class'
}
