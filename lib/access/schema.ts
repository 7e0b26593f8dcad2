// Checks arguments and results with any library that supports Standard Schema (https://standardschema.dev): zod, valibot, arktype…

import { ignoreRejections } from '../codec/dispose.js'
import { ArgumentsError, type Issue } from '../errors.js'
import { formatCall, formatJsonPath } from '../protocol/format.js'
import { Op } from '../protocol/messages.js'
import type { MemberName } from '../protocol/path.js'
import type { SeenByTypes } from '../types/netref.js'
import type { StandardIssue, StandardResult, StandardSchema } from '../types/standard-schema.js'
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
/** The constraint on a method: the schema of its result must accept the result, and callers must get what the method returns. */
export type MatchesResult<S extends StandardSchema, R> =
  Awaited<R> extends InputOf<S>
    ? OutputOf<S> extends Awaited<R>
      ? unknown
      : ResultMismatch<Awaited<R>, OutputOf<S>>
    : ResultMismatch<Awaited<R>, InputOf<S>>
/** No method has this type. Its name explains the compile error. */
interface ResultMismatch<Result, Schema> {
  readonly result: Result
  readonly returns: Schema
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

/** The decorator of a method whose result has a schema, and whose arguments may have one. */
export type ResultDecorator<S extends StandardSchema | undefined, R extends StandardSchema> = <
  This,
  A extends readonly unknown[],
  Result,
  Name extends PropertyKey
>(
  method: ((this: This, ...args: A) => Result) &
    (S extends StandardSchema ? MatchesSchema<S, A> : unknown) &
    MatchesResult<R, Result>,
  context: ClassMethodDecoratorContext<This, (this: This, ...args: A) => Result> & {
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

/**
 * Returns the schema's output for a result, or a promise of it.
 *
 * @param args of the call, for error texts
 * @throws TypeError if the schema does not accept it, also as a rejection
 */
export function checkResult(
  schema: StandardSchema,
  name: MemberName | undefined,
  args: unknown[],
  result: unknown
): unknown {
  if (isThenable(result)) return Promise.resolve(result).then(value => checkResult(schema, name, args, value))
  // The schema may refuse the result, or leave out a part of it: nobody else handles the promises in there.
  ignoreRejections(result)
  const outcomeOf = (validated: StandardResult<unknown>) => {
    if (!validated.issues) return validated.value
    const lines = Array.from(
      [...validated.issues].slice(0, MAX_ISSUES_IN_MESSAGE).map(toIssue),
      ({ path, message }) => `${formatJsonPath('result', path)}: ${message}`
    )
    throw new TypeError(
      `${callLabel(name, args)}: its result does not match \`returns\`: ${lines.join('; ')}`
    )
  }
  const validated = schema['~standard'].validate(result)
  return isThenable(validated) ? Promise.resolve(validated).then(outcomeOf) : outcomeOf(validated)
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
