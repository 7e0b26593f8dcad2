// Formats calls, paths and targets for error texts, as a program would write them.
import { describeValue, MAX_NAME_CHARACTERS, quote, safeDescribe } from '../util/describe.js'

import { truncate } from '../util/printable.js'
import { type OperationCode, operandsOf, operationOf, type TargetId } from './messages.js'
import { type MemberName, type MemberPath, toMemberName } from './path.js'

/** One step of a path: `.name`, `[0]`, `["first name"]`. */
function formatStep(step: string | number): string {
  const name = typeof step === 'string' ? truncate(step, MAX_NAME_CHARACTERS) : step
  if (typeof name === 'string' && /^[a-zA-Z_$][\w$]*$/.test(name)) return `.${name}`
  if (typeof name === 'number' || /^\d+$/.test(name)) return `[${name}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? `.${name}` : `[${quote(name)}]`
}

const formatName = (name: MemberName) =>
  typeof name === 'symbol' ? `[${describeValue(name)}]` : formatStep(name)

/** Joins steps, without the middle of a long path: a peer may send any number of them. */
function joinSteps<Step>(steps: readonly Step[], format: (step: Step) => string): string {
  if (steps.length <= 2 * STEPS_AT_EACH_END) return steps.map(format).join('')
  return `${joinSteps(steps.slice(0, STEPS_AT_EACH_END), format)}…${joinSteps(steps.slice(-STEPS_AT_EACH_END), format)}`
}
const STEPS_AT_EACH_END = 6

/** The path of an operation: `.files["a b"]`. */
export const formatPath = (path: MemberPath): string =>
  typeof path === 'string' ? formatStep(path) : joinSteps(path, key => formatName(toMemberName(key)))

export const formatNames = (names: readonly MemberName[]): string => joinSteps(names, formatName)

/** The target of a call, as this side knows it. */
export const formatTarget = (target: TargetId) =>
  target === 0 ? 'root' : target > 0 ? `#${target}` : `answer of call ${-target}`

/** A JSON path, without the middle of a long one: `args[0].user["first name"]`. */
export function formatJsonPath(name: string, place: readonly (string | number)[]): string {
  const text = place.reduce<string>((text, key) => text + formatStep(key), name)
  return text.length <= 200 ? text : `${text.slice(0, 100)}…${text.slice(-60)}`
}

/** The end of a long label. */
export const truncateStart = (label: string) => (label.length <= 200 ? label : `…${label.slice(-100)}`)

/** An operation as its caller writes it: `root.open("x")`. */
export const formatCall = (op: OperationCode, target: string, operand: unknown): string =>
  operationOf(op).label(target, formatArguments(operandsOf(op, operand)))

const formatArguments = (args: readonly unknown[]) =>
  args.length === 0
    ? ''
    : args
        .slice(0, 3)
        .map(safeDescribe)
        .concat(args.length > 3 ? '…' : [])
        .join(', ')
