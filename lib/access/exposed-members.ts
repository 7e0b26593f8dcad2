// The members that a class exposes, with their options. `@exposed` and `exposes` declare them; the member rules find them.

import { checkPassedClasses } from '../codec/classify.js'
import { type MemberName, registerSymbol } from '../protocol/path.js'
import type { Session } from '../types/session.js'
import type { StandardSchema } from '../types/standard-schema.js'
import type { OptionTypes } from '../util/check-options.js'
import { sharedInRealm } from '../util/library-copies.js'
import type { MemberTypes } from './describe.js'
import { toJsonSchema } from './json-schema.js'
import { checkArguments, checkResult } from './schema.js'

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
   * A Standard Schema for the result, or for what the promise of the method resolves with. `Netref.describe` tells it as JSON
   * Schema. Results are checked by it only if the option `checkResults` of `serve` or `connect` is set.
   */
  readonly returns?: StandardSchema | undefined
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
  returns: '',
  idempotent: 'a boolean',
  help: 'a string'
}

/** The condition for the use of an exposed member. */
export interface ExposedCondition extends Pick<ExposedOptions, 'if'> {
  /** Returns the arguments for the method. It is part of the condition, so that only users of schemas load the checks. */
  check?(name: MemberName | undefined, args: unknown[]): unknown[]
  /** Returns what the caller gets for a result, which may be a promise. `args` are for error texts. */
  checkResult?(name: MemberName | undefined, args: unknown[], result: unknown): unknown
}
/** The metadata of an exposed member. */
export interface ExposedMetadata extends ExposedCondition, Pick<ExposedOptions, 'help' | 'idempotent'> {
  /** The JSON Schemas of its arguments and its result. */
  describeTypes?(): MemberTypes
}

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
  for (const option of ['schema', 'returns', 'idempotent'] as const) {
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
  const { schema, returns } = options
  const metadata: ExposedMetadata = {
    ...options,
    ...(schema && { check: (...call) => checkArguments(schema, ...call) }),
    ...(returns && { checkResult: (...call) => checkResult(returns, ...call) }),
    ...((schema ?? returns) && {
      describeTypes: () => ({
        ...(schema && { input: toJsonSchema(schema, 'input') }),
        ...(returns && { output: toJsonSchema(returns, 'output') })
      })
    })
  }
  if (isConditional(metadata)) namesWithConditions.add(name)
  return metadata
}

const isConditional = (metadata: ExposedMetadata) =>
  Boolean(metadata.if ?? metadata.check ?? metadata.checkResult)

/** The checks of classes. Only users of `@exposed` and `exposes` load them. */
export interface ClassChecks {
  /** @throws TypeError for a class that exposes its members more than one way */
  readonly checkClasses: (prototype: object | null) => void
  /** @throws TypeError for a listed field that the instance does not have */
  readonly checkFields: (instance: object) => void
}
let checks: ClassChecks | undefined
export const classChecks = (): ClassChecks | undefined => checks
/** Checks classes from now on: of roots, of exposed objects, and of the first instance that is passed. */
export function useClassChecks(given: ClassChecks): void {
  checks = given
  checkPassedClasses(given.checkClasses)
}
