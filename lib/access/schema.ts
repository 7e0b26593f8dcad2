// Checks of arguments, by any library that speaks Standard Schema (https://standardschema.dev): zod, valibot, arktype…

import { ArgumentsError, type Issue } from '../errors.js'
import { formatCall, formatJsonPath } from '../protocol/format.js'
import { Op } from '../protocol/messages.js'
import type { MemberName } from '../protocol/path.js'
import type { StandardIssue, StandardSchema } from '../types/standard-schema.js'
import { ignoreRejection, isThenable } from '../util/promises.js'

/** What callers send, and what the method is given. */
type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

/** The method that may stand under a schema: it takes what the schema gives, and its callers send what that takes. */
type MatchesSchema<S extends StandardSchema, A extends readonly unknown[]> =
  A extends InputOf<S>
    ? OutputOf<S> extends A
      ? unknown
      : SchemaMismatch<A, OutputOf<S>>
    : SchemaMismatch<A, InputOf<S>>
/** Nothing is one, and its name says why. */
interface SchemaMismatch<Parameters, Schema> {
  readonly parameters: Parameters
  readonly schema: Schema
}
/** The decorator of a method whose arguments a schema checks. */
export type SchemaDecorator<S extends StandardSchema> = <This, A extends readonly unknown[], R>(
  method: ((this: This, ...args: A) => R) & MatchesSchema<S, A>,
  context: ClassMethodDecoratorContext<This, (this: This, ...args: A) => R>
) => void

export const isSchema = (value: unknown): value is StandardSchema =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value

/** How many issues are told, as a peer could cause any number of them; and how many of those in the message. */
const MAX_ISSUES = 20
const MAX_ISSUES_IN_MESSAGE = 3

/**
 * The arguments as the schema gives them.
 *
 * @throws ArgumentsError when they are not what it takes, TypeError for a schema that cannot check them at once
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
      `${callLabel(name, args)}: its schema answers with a promise, but calls are checked at once, to keep their order: check in the method what takes time`
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
  throw new TypeError(`${callLabel(name, args)}: its schema makes no list of its arguments`)
}

const callLabel = (name: MemberName | undefined, args: unknown[]) =>
  formatCall(Op.call, name === undefined ? 'it' : String(name), args)

/** An issue as it crosses: plain data, where a library has lists of its own. */
function toIssue({ message, path = [] }: StandardIssue): Issue {
  const keys = Array.from(path, step => (typeof step === 'object' ? step.key : step))
  return {
    message: message.slice(0, 500),
    path: keys.map(key => (typeof key === 'symbol' ? String(key) : key))
  }
}
