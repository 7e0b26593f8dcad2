// How errors name things: values, classes, paths and calls, as a person would write them.
import { describe, inWords, NAME, quote } from '../util/describe.js'

import { cut } from '../util/printable.js'
import { Op, type OperationCode, type Target } from './messages.js'
import { type Name, type Path, toName } from './path.js'

/** A member's step in a path: `.name`, `[0]`, `["first name"]`. */
function formatStep(step: string | number): string {
  const name = typeof step === 'string' ? cut(step, NAME) : step
  if (typeof name === 'string' && /^[a-zA-Z_$][\w$]*$/.test(name)) return `.${name}`
  if (typeof name === 'number' || /^\d+$/.test(name)) return `[${name}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? `.${name}` : `[${quote(name)}]`
}

const formatName = (name: Name) => (typeof name === 'symbol' ? `[${describe(name)}]` : formatStep(name))

/** Steps one after the other, without the middle of many: a peer may name any number of them. */
function inSteps<Step>(steps: readonly Step[], format: (step: Step) => string): string {
  if (steps.length <= 2 * STEPS) return steps.map(format).join('')
  return `${inSteps(steps.slice(0, STEPS), format)}…${inSteps(steps.slice(-STEPS), format)}`
}
const STEPS = 6

/** The path of an operation: `.files["a b"]`. */
export const formatPath = (path: Path): string =>
  typeof path === 'string' ? formatStep(path) : inSteps(path, key => formatName(toName(key)))

export const formatNames = (names: readonly Name[]): string => inSteps(names, formatName)

/** What a call is made on, as far as this side names it. */
export const labelOf = (target: Target) =>
  target === 0 ? 'root' : target > 0 ? `#${target}` : `answer of call ${-target}`

/** A place in a value, without the middle of a long one: `args[0].user["first name"]`. */
export function formatPlace(name: string, place: readonly (string | number)[]): string {
  const text = place.reduce<string>((text, key) => text + formatStep(key), name)
  return text.length <= 200 ? text : `${text.slice(0, 100)}…${text.slice(-60)}`
}

/** Of a long chain the end says enough. */
export const ending = (label: string) => (label.length <= 200 ? label : `…${label.slice(-100)}`)

const WORDS: Partial<Record<OperationCode, string>> = {
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
    case Op.drive:
      return target
    case Op.call:
      return `${target}(${formatArgs(operand as unknown[])})`
    case Op.construct:
      return `new ${target}(${formatArgs(operand as unknown[])})`
    case Op.oneway:
      return `Netref.oneway(${target})(${formatArgs(operand as unknown[])})`
  }
  return op === Op.set ? `${WORDS[op]}(${target}, ${formatArgs([operand])})` : `${WORDS[op]}(${target})`
}

const formatArgs = (args: unknown[]) =>
  args.length === 0
    ? ''
    : args
        .slice(0, 3)
        .map(inWords)
        .concat(args.length > 3 ? '…' : [])
        .join(', ')
