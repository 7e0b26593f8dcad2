// Checks arguments with any library that supports Standard Schema (https://standardschema.dev): zod, valibot, arktype…

import { ArgumentsError, type Issue } from '../errors.js'
import { formatCall, formatJsonPath } from '../protocol/format.js'
import { Op } from '../protocol/messages.js'
import type { MemberName } from '../protocol/path.js'
import type { SeenByTypes } from '../types/netref.js'
import type { StandardIssue, StandardSchema } from '../types/standard-schema.js'
import { describeValue } from '../util/describe.js'
import { ignoreRejection, isThenable } from '../util/promises.js'

/** The type that callers send, and the type that the method receives. */
type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

/** The constraint on a method: it must accept the schema's output, and its callers must send the schema's input. */
export type MatchesSchema<S extends StandardSchema, A extends readonly unknown[]> =
  A extends InputOf<S>
    ? OutputOf<S> extends A
      ? unknown
      : SchemaMismatch<A, OutputOf<S>>
    : SchemaMismatch<A, InputOf<S>>
/** No method has this type. Its name explains the compile error. */
interface SchemaMismatch<Parameters, Schema> {
  readonly parameters: Parameters
  readonly schema: Schema
}
/** The decorator of a method whose arguments are checked by a schema. */
export type SchemaDecorator<S extends StandardSchema> = <
  This,
  A extends readonly unknown[],
  R,
  Name extends PropertyKey
>(
  method: ((this: This, ...args: A) => R) & MatchesSchema<S, A>,
  context: ClassMethodDecoratorContext<This, (this: This, ...args: A) => R> & {
    readonly name: Name
  } & SeenByTypes<This, Name>
) => void

export const isSchema = (value: unknown): value is StandardSchema =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value

/** The maximum number of issues of an error, as a peer could cause any number, and of those in its message. */
const MAX_ISSUES = 20
const MAX_ISSUES_IN_MESSAGE = 3

/**
 * Returns the schema's output for the arguments.
 *
 * @throws ArgumentsError if the schema does not accept them
 * @throws TypeError for a schema that cannot check them synchronously
 */
export function checkArguments(
  schema: StandardSchema,
  name: MemberName | undefined,
  args: unknown[]
): unknown[] {
  const result = schema['~standard'].validate(args)
  if (isThenable(result)) {
    ignoreRejection(result)
    throw new TypeError(
      `${callLabel(name, args)}: its schema returned a promise, but arguments are checked synchronously, to keep the order of calls; do asynchronous checks in the method`
    )
  }
  if (result.issues) {
    const issues = [...result.issues].slice(0, MAX_ISSUES).map(toIssue)
    const lines = issues.map(({ path, message }) => `${formatJsonPath('args', path)}: ${message}`)
    throw new ArgumentsError(
      `${callLabel(name, args)}: ${lines.slice(0, MAX_ISSUES_IN_MESSAGE).join('; ')}`,
      issues
    )
  }
  if (Array.isArray(result.value)) return result.value
  throw new TypeError(
    `${callLabel(name, args)}: its schema must return a list of arguments, not ${describeValue(result.value)}`
  )
}

const callLabel = (name: MemberName | undefined, args: unknown[]) =>
  formatCall(Op.call, name === undefined ? 'it' : String(name), args)

/** The issue as it is sent: plain data, even if a library uses its own list types. */
function toIssue({ message, path = [] }: StandardIssue): Issue {
  const keys = Array.from(path, step => (typeof step === 'object' ? step.key : step))
  return {
    message: message.slice(0, 500),
    path: keys.map(key => (typeof key === 'symbol' ? String(key) : key))
  }
}
