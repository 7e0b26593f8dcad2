// Declares what a command is, and parses its command line.
import { parseArgs } from 'node:util'
import type { Terminal } from './terminal.js'

export interface Option {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** Name of the option's value in the help. */
  readonly value?: string
  readonly help: string
}

export interface Command {
  readonly name: string
  /** Arguments after the name of the command. */
  readonly usage: string
  readonly summary: string
  readonly details?: string
  readonly options: Readonly<Record<string, Option>>
  /** @returns the exit code @throws errors that are printed on stderr */
  run(argv: readonly string[], terminal: Terminal): Promise<number>
}

export const EXIT = { ok: 0, failed: 1, usage: 2, session: 3, interrupted: 130 } as const

/** The command line is invalid. */
export class UsageError extends Error {}

/** Runs `create` with what the command line says. @throws UsageError for its TypeErrors */
export function checkUsage<T>(create: () => T): T {
  try {
    return create()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UsageError((error as Error).message.replace(/^[\w.]+: /, ''))
  }
}

/** A word of the command line: an argument, or a callback option, whose position among the arguments counts. */
export type Word = { readonly argument: string } | { readonly callback: string }

export interface Parsed {
  readonly words: readonly Word[]
  readonly values: Readonly<Record<string, string | boolean | undefined>>
}

const CALLBACK = /^on-(.+)$/
const NEGATIVE = /^-\d/

/**
 * Parses the command line of a command. Negative numbers are arguments; with `callbacks`, `--on-name` is one too.
 *
 * @throws UsageError for an unknown option, or one without its value
 */
export function parseCommandLine(
  argv: readonly string[],
  { options }: Pick<Command, 'options'>,
  callbacks = false
): Parsed {
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  const values: Record<string, string | boolean | undefined> = {}
  const words: Word[] = []
  let negativeNumberIndex = -1
  for (const token of tokens) {
    if (token.kind === 'positional') words.push({ argument: token.value })
    if (token.kind !== 'option' || token.index === negativeNumberIndex) continue
    const { name, rawName, value, index } = token
    const option = Object.hasOwn(options, name) ? options[name] : undefined
    const [, callback] = (callbacks && CALLBACK.exec(name)) || []
    if (NEGATIVE.test(argv[index]!)) {
      negativeNumberIndex = index
      words.push({ argument: argv[index]! })
    } else if (callback !== undefined && value === undefined) words.push({ callback })
    else if (!option) throw new UsageError(`there is no option ${rawName}`)
    else if (option.type === 'string' && !value)
      throw new UsageError(`${rawName} takes a value: ${option.value}`)
    else if (option.type === 'boolean' && value !== undefined)
      throw new UsageError(`${rawName} takes no value`)
    else values[name] = value ?? true
  }
  return { words, values }
}

/** Returns the arguments; none may be a callback. Every name in `names` must be given, except those in brackets. */
export function requireArguments({ words }: Parsed, ...names: string[]): string[] {
  const given = words.map(word => (word as { argument: string }).argument)
  const missing = names.slice(given.length).find(name => !name.startsWith('['))
  if (missing) throw new UsageError(`${missing} is missing`)
  const extra = given[names.length]
  if (extra !== undefined) throw new UsageError(`unexpected argument ${extra}`)
  return given
}

/** The value of a numeric option. @throws UsageError if it is not a number, or less than `minimum` */
export function numberOption(parsed: Parsed, option: string, defaultValue: number, minimum = 0): number {
  const text = parsed.values[option]
  if (text === undefined) return defaultValue
  const number = Number(text)
  if (Number.isFinite(number) && number >= minimum) return number
  throw new UsageError(`--${option} ${text} is not a number of at least ${minimum}`)
}
