// `netref call`: makes one call, with JSON in and JSON out.
import { ExposureError, expose, Netref, NetrefError, SessionEndedError } from '../index.js'
import { withConnection, withMemberHints } from './client.js'
import { type Command, EXIT, parseCommandLine, UsageError } from './command.js'
import { formatJSON, readArguments } from './json.js'
import { parsePath, refAtPath } from './path.js'
import { print, type Terminal } from './terminal.js'

type RemoteFunction = (...args: unknown[]) => Promise<unknown>

export const call: Command = {
  name: 'call',
  usage: 'URL path [json…]',
  summary: 'Calls a function, or reads a value, and prints the result as JSON',
  details: [
    'Arguments are JSON: netref call URL add 1 2, netref call URL greet \'"Ada"\'.',
    '-          reads a JSON argument from stdin.',
    '--on-NAME  passes a function. Each call of it prints a line of JSON: {"NAME": [arguments]}.',
    'An iterable result is printed as one line of JSON per item. Other objects passed by reference are printed by name.'
  ].join('\n'),
  options: {
    follow: {
      type: 'boolean',
      short: 'f',
      help: 'keep running after the reply, for calls of --on-NAME'
    }
  },
  async run(argv, terminal) {
    const { words, values } = parseCommandLine(argv, call, true)
    const [url, path, ...rest] = words
    if (!url || !('argument' in url)) throw new UsageError('URL is missing')
    if (!path || !('argument' in path)) throw new UsageError('path is missing')
    const names = parsePath(path.argument)
    const printCallsOf = (name: string) =>
      expose((...args: unknown[]) => print(terminal, formatJSON({ [name]: args })!))
    const args = await readArguments(rest, terminal, printCallsOf)
    return withConnection(url.argument, terminal, async conn => {
      const member = refAtPath(conn.root, names)
      await printResult(await withMemberHints(conn, names, () => callOrRead(member, args)), terminal)
      if (!values.follow) return EXIT.ok
      const reason = await conn.closed
      if (terminal.signal.aborted) return EXIT.ok
      throw new SessionEndedError(reason)
    })
  }
}

/** Calls a member, or reads it if it is not a function and there are no arguments. */
async function callOrRead(member: unknown, args: unknown[]): Promise<unknown> {
  try {
    return await (member as RemoteFunction)(...args)
  } catch (error) {
    const readable = error instanceof NetrefError && error.code === 'not-callable' && args.length === 0
    if (!readable) throw error
    return await (member as PromiseLike<unknown>)
  }
}

async function printResult(value: unknown, terminal: Terminal): Promise<void> {
  if (isIterable(value) && (await printItems(value, terminal))) return
  const json = formatJSON(value, terminal.stdout.isTTY ? 2 : 0)
  if (json !== undefined) await print(terminal, json)
}

/** @returns false for a netref that cannot be iterated; every netref has `Symbol.asyncIterator` */
async function printItems(items: AsyncIterable<unknown>, terminal: Terminal): Promise<boolean> {
  let hasItems = false
  try {
    for await (const item of items) {
      hasItems = true
      await print(terminal, formatJSON(item) ?? 'null')
    }
    return true
  } catch (error) {
    if (hasItems || !Netref.is(items) || !(error instanceof ExposureError)) throw error
    return false
  }
}

const isIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof (value as Partial<AsyncIterable<unknown>> | undefined)?.[Symbol.asyncIterator] === 'function'
