// How errors name things: values, classes, paths and calls, as a person would write them.
import { type Name, type Path, toName } from './names.js'
import { cut, printable } from './printable.js'
import { Op, type OperationCode, type Target } from './protocol.js'
import { classWith } from './realms.js'

/** Text of somebody's, and a name: both are cut where they are longer than anybody reads. */
const TEXT = 24
const NAME = 64
export const cutName = (name: string): string => printable(name, NAME)

/** A text between quotes. */
export const quote = (text: string, most = NAME): string => printable(JSON.stringify(cut(text, most)))

/** A value in a few words, for errors: `a symbol`, `an Error`, `"text"`. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quote(value, TEXT)
    case 'symbol':
      return cutName(String(value))
    case 'bigint':
      return `${cut(String(value), TEXT)}n`
    case 'function':
      return 'ƒ'
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? '[…]' : describeObject(value)
    default:
      return Object.is(value, -0) ? '-0' : String(value)
  }
}

function describeObject(object: object): string {
  const name = className(object)
  return name ? `${cutName(name)} {…}` : '{…}'
}

/** Names of classes, by their prototypes. */
const classNames = new WeakMap<object, string>()

/** The name of an object's class, read without running a getter of the user's; empty for plain objects. */
export function className(object: object): string {
  const prototype = Object.getPrototypeOf(object)
  if (prototype === Object.prototype || prototype === null) return ''
  let name = classNames.get(prototype)
  if (name === undefined) {
    const type = classWith(prototype)
    name = typeof type === 'function' ? functionName(type) : ''
    classNames.set(prototype, name)
  }
  return name
}

/** A function's own name, read without running a getter of the user's. */
export function functionName(fn: object): string {
  const name = Object.getOwnPropertyDescriptor(fn, 'name')?.value
  return typeof name === 'string' ? name : ''
}

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

/** As `String`, and never throws: a peer may have had a say in what fails. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return inWords(value)
  }
}

/** As `describe`, and never throws: a look at a user's Proxy may. */
export function inWords(value: unknown): string {
  try {
    return describe(value)
  } catch {
    return '{…}'
  }
}
