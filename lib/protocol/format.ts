// How errors name things: values, classes, paths and calls, as a person would write them.
import {
  describe as describeValue,
  NAME as MAX_NAME_CHARACTERS,
  quote,
  inWords as safeDescribe
} from '../util/describe.js'

import { truncate } from '../util/printable.js'
import { Op, type OperationCode, type TargetId } from './messages.js'
import { type MemberName, type MemberPath, toMemberName } from './path.js'

/** A member's step in a path: `.name`, `[0]`, `["first name"]`. */
function formatStep(step: string | number): string {
  const name = typeof step === 'string' ? truncate(step, MAX_NAME_CHARACTERS) : step
  if (typeof name === 'string' && /^[a-zA-Z_$][\w$]*$/.test(name)) return `.${name}`
  if (typeof name === 'number' || /^\d+$/.test(name)) return `[${name}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? `.${name}` : `[${quote(name)}]`
}

const formatName = (name: MemberName) =>
  typeof name === 'symbol' ? `[${describeValue(name)}]` : formatStep(name)

/** Steps one after the other, without the middle of many: a peer may name any number of them. */
function joinSteps<Step>(steps: readonly Step[], format: (step: Step) => string): string {
  if (steps.length <= 2 * STEPS_AT_EACH_END) return steps.map(format).join('')
  return `${joinSteps(steps.slice(0, STEPS_AT_EACH_END), format)}…${joinSteps(steps.slice(-STEPS_AT_EACH_END), format)}`
}
const STEPS_AT_EACH_END = 6

/** The path of an operation: `.files["a b"]`. */
export const formatPath = (path: MemberPath): string =>
  typeof path === 'string' ? formatStep(path) : joinSteps(path, key => formatName(toMemberName(key)))

export const formatNames = (names: readonly MemberName[]): string => joinSteps(names, formatName)

/** What a call is made on, as far as this side names it. */
export const formatTarget = (target: TargetId) =>
  target === 0 ? 'root' : target > 0 ? `#${target}` : `answer of call ${-target}`

/** A place in a value, without the middle of a long one: `args[0].user["first name"]`. */
export function formatJsonPath(name: string, place: readonly (string | number)[]): string {
  const text = place.reduce<string>((text, key) => text + formatStep(key), name)
  return text.length <= 200 ? text : `${text.slice(0, 100)}…${text.slice(-60)}`
}

/** Of a long chain the end says enough. */
export const truncateStart = (label: string) => (label.length <= 200 ? label : `…${label.slice(-100)}`)

const HELPER_NAMES: Partial<Record<OperationCode, string>> = {
  [Op.set]: 'Netref.set',
  [Op.has]: 'Netref.has',
  [Op.delete]: 'Netref.delete',
  [Op.keys]: 'Netref.keys',
  [Op.describe]: 'Netref.describe',
  [Op.obtain]: 'Netref.obtain'
}

/** A call as its caller wrote it: `root.open("x")`. */
export function formatCall(op: OperationCode, target: string, operand: unknown): string {
  switch (op) {
    case Op.get:
    case Op.iterate:
    case Op.streamCall:
      return target
    case Op.call:
      return `${target}(${formatArguments(operand as unknown[])})`
    case Op.construct:
      return `new ${target}(${formatArguments(operand as unknown[])})`
    case Op.oneway:
      return `Netref.oneway(${target})(${formatArguments(operand as unknown[])})`
  }
  return op === Op.set
    ? `${HELPER_NAMES[op]}(${target}, ${formatArguments([operand])})`
    : `${HELPER_NAMES[op]}(${target})`
}

const formatArguments = (args: unknown[]) =>
  args.length === 0
    ? ''
    : args
        .slice(0, 3)
        .map(safeDescribe)
        .concat(args.length > 3 ? '…' : [])
        .join(', ')
