// Parses arguments from JSON and formats results as JSON.
import { toPrintableLines } from '../util/printable.js'
import { UsageError, type Word } from './command.js'
import type { Terminal } from './terminal.js'

/**
 * Parses the arguments of a call. Each is JSON, `-` reads stdin, and `callbackFor` creates callbacks.
 *
 * @throws UsageError for invalid JSON
 */
export async function readArguments(
  words: readonly Word[],
  terminal: Pick<Terminal, 'stdin'>,
  callbackFor: (name: string) => unknown
): Promise<unknown[]> {
  const fromStdin = words.filter(word => 'argument' in word && word.argument === '-')
  if (fromStdin.length > 1)
    throw new UsageError('only one argument can be read from stdin, but - is given more than once')
  const args: unknown[] = []
  for (const [i, word] of words.entries()) {
    if ('callback' in word) args.push(callbackFor(word.callback))
    else if (word.argument === '-') args.push(parseJSON(await readText(terminal.stdin), 'stdin'))
    else args.push(parseJSON(word.argument, `argument ${i + 1}`))
  }
  return args
}

async function readText(stream: NodeJS.ReadableStream): Promise<string> {
  // Loaded when it is used: it takes milliseconds.
  const { text } = await import('node:stream/consumers')
  return text(stream)
}

function parseJSON(source: string, what: string): unknown {
  try {
    return JSON.parse(source)
  } catch (error) {
    const { message } = error as Error
    const [, position] = /at position (\d+)/.exec(message) ?? []
    const lines = [`${what} is not JSON: ${message}`]
    if (position !== undefined && !source.includes('\n'))
      lines.push(`  ${source}`, `  ${' '.repeat(Number(position))}^`)
    if (/^[\w ./:-]+$/.test(source)) lines.push(`A string needs quotes: '${JSON.stringify(source)}'`)
    throw new UsageError(lines.join('\n'))
  }
}

/**
 * Formats a value as JSON; undefined for undefined. A bigint, NaN, a RegExp, bytes (in base64) and a netref become text.
 * A Set becomes a list, an Error or a Map an object. A Map with other keys than strings becomes a list of pairs.
 * Control characters are escaped.
 */
export function formatJSON(value: unknown, indent = 0): string | undefined {
  function replace(this: Record<string, unknown>, key: string, asJSON: unknown): unknown {
    // `toJSON` of a Buffer was called already; its result is not used.
    return ArrayBuffer.isView(this[key]) ? base64(this[key]) : toJSONValue(asJSON)
  }
  const json: string | undefined = JSON.stringify(value, replace, indent)
  return json && toPrintableLines(json)
}

function toJSONValue(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (value instanceof Set) return [...value]
  if (value instanceof Map) {
    return [...value.keys()].every(key => typeof key === 'string') ? Object.fromEntries(value) : [...value]
  }
  if (value instanceof RegExp) return String(value)
  if (value instanceof Error) return { ...value, name: value.name, message: value.message }
  return value instanceof ArrayBuffer ? base64(new Uint8Array(value)) : value
}

const base64 = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')
