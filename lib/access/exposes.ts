// `exposes`, which lists the members that a class exposes.

import type { MemberName } from '../protocol/path.js'
import type { ListedMembers } from '../types/netref.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { checkOptions } from '../util/check-options.js'
import { describeValue } from '../util/describe.js'
import { prototypeChain } from '../util/realms.js'
import { checkClasses, checkFields, checkOneWay, nameOfClass } from './class-checks.js'
import {
  EXPOSED_OPTIONS,
  type ExposedOptions,
  exposeFields,
  exposeMember,
  fieldsOf,
  useClassChecks
} from './exposed-members.js'
import { isSchema, type MatchesResult, type MatchesSchema } from './schema.js'
import type { Service } from './service.js'

/** What `exposes` takes for a member: `true`, or its options. */
export type MemberOptions = true | ExposedOptions

/** The constraints on the options in M of each member of a T. */
type MatchingOptions<T, M> = {
  readonly [K in keyof M]: K extends keyof T ? MatchingMember<T[K], M[K]> : NotAPublicMember<T>
}
type MatchingMember<Member, Options> = Options extends
  | { readonly schema: StandardSchema }
  | { readonly returns: StandardSchema }
  | { readonly idempotent: true }
  ? NonNullable<Member> extends (...args: infer A) => infer R
    ? MatchingMethod<A, R, Options>
    : OnlyForMethods
  : unknown
type MatchingMethod<A extends readonly unknown[], R, Options> = (Options extends {
  readonly schema: infer S extends StandardSchema
}
  ? { readonly schema: MatchesSchema<S, A> }
  : unknown) &
  (Options extends { readonly returns: infer S extends StandardSchema }
    ? { readonly returns: MatchesResult<S, R> }
    : unknown)
/** No options have these types. Their names explain the compile error. */
interface NotAPublicMember<out T> {
  readonly of: T
}
interface OnlyForMethods {
  readonly method: never
}

/**
 * Exposes the listed members of a class under their own names: methods, getters, accessors and fields. An override in a
 * subclass is exposed as well, under the same options. The list is complete: TypeScript requires each public member,
 * except hooks, symbols and names that start with `_`. Other members must be `private` or `#private`.
 *
 * A subclass lists the members that it adds, and passes its base class as the last argument. One class exposes its
 * members one way: `@exposed` and the `exposed_` prefix are others.
 *
 * @throws TypeError for options that are invalid, and for a class that exposes its members another way, too
 * @example
 * class Calculator extends Service {
 *   static {
 *     exposes(Calculator, { add: { schema: z.tuple([z.number(), z.number()]), idempotent: true }, total: true })
 *   }
 *   total = 0
 *   add(a: number, b: number) { return a + b }
 * }
 */
export function exposes<
  T extends object,
  const M extends { readonly [K in keyof T]?: MemberOptions },
  B extends object = Service
>(
  type: { readonly prototype: T },
  members: M & ListedMembers<T, B, MemberOptions, M> & MatchingOptions<T, M>,
  base?: { readonly prototype: B }
): void {
  const prototype: unknown = Object(type).prototype
  if (typeof prototype !== 'object' || prototype === null)
    throw new TypeError(`exposes: ${describeValue(type)} is not a class`)
  const label = `exposes(${nameOfClass(prototype)})`
  if (Object(members) !== members)
    throw new TypeError(`${label} takes an object, such as { add: true }, not ${describeValue(members)}`)
  if (fieldsOf(prototype))
    throw new TypeError(`${label}: it was called before; list all members of a class in one call`)
  if (base && !isBaseOf(base.prototype, prototype))
    throw new TypeError(`${label}: the class does not extend ${nameOfClass(base.prototype)}`)
  const names = Reflect.ownKeys(members)
  checkOneWay(prototype, names)
  const fields: [name: MemberName, options: ExposedOptions][] = []
  for (const name of names) {
    const options = optionsOf(`${label}: ${String(name)}`, (members as Record<MemberName, unknown>)[name])
    if (!exposeOwnMember(`${label}: ${String(name)}`, prototype, name, options)) fields.push([name, options])
  }
  exposeFields(prototype, fields)
  useClassChecks({ checkClasses, checkFields })
}

const isBaseOf = (base: object, prototype: object) => [...prototypeChain(prototype)].includes(base)

function optionsOf(label: string, given: unknown): ExposedOptions {
  if (given === true) return {}
  if (Object(given) !== given)
    throw new TypeError(`${label} takes \`true\` or options, not ${describeValue(given)}`)
  if (isSchema(given))
    throw new TypeError(`${label} takes \`true\` or options: pass the schema as { schema }`)
  checkOptions(label, given, EXPOSED_OPTIONS)
  return given as ExposedOptions
}

/** Exposes a member of the prototype. Returns false for a field, which the prototype does not have. */
function exposeOwnMember(
  label: string,
  prototype: object,
  name: MemberName,
  options: ExposedOptions
): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
  if (!descriptor) {
    if (!(name in prototype)) return false
    throw new TypeError(`${label} is a member of a base class; list it there, or override it`)
  }
  if (descriptor.set && !descriptor.get)
    throw new TypeError(`${label} is a setter, which cannot be read; add a getter`)
  const member = descriptor.get ?? descriptor.value
  if (typeof member !== 'function') return false
  exposeMember(label, descriptor.get ? 'getter' : 'method', name, member, options)
  return true
}
