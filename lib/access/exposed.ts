// The decorator `@exposed`, which exposes a member of a class.

import type { SeenByTypes } from '../types/netref.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { checkOptions } from '../util/check-options.js'
import { checkClasses, checkFields } from './class-checks.js'
import { EXPOSED_OPTIONS, type ExposedOptions, exposeMember, useClassChecks } from './exposed-members.js'
import { isSchema, type ResultDecorator, type SchemaDecorator } from './schema.js'

type MemberContext<This = unknown> =
  | ClassMethodDecoratorContext<This>
  | ClassGetterDecoratorContext<This>
  | ClassAccessorDecoratorContext<This>
type MemberDecorator = <This, Name extends PropertyKey>(
  target: unknown,
  context: MemberContext<This> & Seen<This, Name>
) => void
type MethodDecorator = <This, Name extends PropertyKey>(
  target: (...args: never) => unknown,
  context: ClassMethodDecoratorContext<This> & Seen<This, Name>
) => void
type Seen<This, Name extends PropertyKey> = { readonly name: Name } & SeenByTypes<This, Name>

/**
 * Exposes a method, getter or accessor under its own name. An override in a subclass is exposed as well, under the same
 * options. `@exposed` must be the first of several decorators. One class exposes its members one way: `exposes` and the
 * `exposed_` prefix are others.
 *
 * @throws TypeError for a target that it cannot expose, and for invalid options
 * @example
 * ```ts
 * class Clock extends Service {
 *   @exposed now() { return new Date() }
 *   @exposed(z.tuple([z.date()])) alarm(at: Date) { return at.getTime() }
 *   @exposed({ schema: z.tuple([z.int()]), returns: z.string() }) zone(offset: number) { return `UTC+${offset}` }
 *   @exposed({ if: session => session.identity === 'ada', help: 'Stops the clock' }) stop() {}
 * }
 * ```
 */
export function exposed<S extends StandardSchema>(schema: S): SchemaDecorator<S>
export function exposed<R extends StandardSchema, S extends StandardSchema | undefined = undefined>(
  options: Omit<ExposedOptions, 'schema' | 'returns'> & { readonly schema?: S; readonly returns: R }
): ResultDecorator<S, R>
export function exposed<S extends StandardSchema>(
  options: Omit<ExposedOptions, 'schema' | 'returns'> & { readonly schema: S; readonly returns?: undefined }
): SchemaDecorator<S>
export function exposed(
  options: ExposedOptions & {
    readonly schema?: undefined
    readonly returns?: undefined
    readonly idempotent: true
  }
): MethodDecorator
export function exposed(
  options: ExposedOptions & { readonly schema?: undefined; readonly returns?: undefined }
): MemberDecorator
export function exposed<This, Name extends PropertyKey>(
  target: unknown,
  context: MemberContext<This> & Seen<This, Name>
): void
export function exposed(first: unknown, context?: MemberContext): unknown {
  if (context !== undefined) return markExposed(first, context, {})
  if (!isSchema(first)) checkOptions('@exposed', first, EXPOSED_OPTIONS)
  const options = isSchema(first) ? { schema: first } : (first as ExposedOptions)
  return (target: unknown, context: MemberContext) => markExposed(target, context, options)
}

/** @throws TypeError if TypeScript calls it as a legacy decorator (`experimentalDecorators`) */
function markExposed(target: unknown, context: MemberContext, options: ExposedOptions): void {
  if (typeof context !== 'object') {
    throw new TypeError(
      `@exposed ${String(context)}: it requires standard decorators; turn \`experimentalDecorators\` off, or use \`exposes\``
    )
  }
  const { kind, name, private: isPrivate } = context
  if ((kind !== 'method' && kind !== 'getter' && kind !== 'accessor') || isPrivate) {
    throw new TypeError(
      `@exposed ${String(name)}: only public methods, getters and accessors can be exposed (\`@exposed accessor ${String(name)}\` for a field)`
    )
  }
  const member = kind === 'accessor' ? (target as { get: object }).get : (target as object)
  exposeMember(`@exposed ${String(name)}`, kind, name, member, options)
  useClassChecks({ checkClasses, checkFields })
}
