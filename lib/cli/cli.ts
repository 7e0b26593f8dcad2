// Finds the command of a command line, runs it, and prints its errors.
import { NetrefError, SessionEndedError } from '../errors.js'
import { nearestNames } from '../util/nearest.js'
import { toPrintable, toPrintableLines } from '../util/printable.js'
import { type Command, EXIT, UsageError } from './command.js'
import { generalHelp, helpOf } from './help.js'
import { formatJSON } from './json.js'
import { coloursFor, print, type Terminal, write } from './terminal.js'

/** The commands by name, in the order of the help. Each is loaded when it is used: `call` does not wait for the others. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.js')).serve,
  mcp: async () => (await import('./mcp.js')).mcp,
  ls: async () => (await import('./ls.js')).ls,
  describe: async () => (await import('./describe.js')).describe,
  call: async () => (await import('./call.js')).call,
  repl: async () => (await import('./repl.js')).repl,
  ping: async () => (await import('./ping.js')).ping,
  bench: async () => (await import('./bench.js')).bench
}
const COMMAND_NAMES = Object.keys(COMMANDS)

/** Runs a command line. @returns the exit code. Never throws. */
export async function run(argv: readonly string[], terminal: Terminal, version: string): Promise<number> {
  const [name = '', ...rest] = argv
  // A closed output, as in `netref call … | head`, rejects the write itself.
  terminal.stdout.on('error', () => {})
  try {
    if (name === '--version') await print(terminal, version)
    else if (name === '--help' || name === '-h') await printGeneralHelp(terminal)
    else return await runCommand(await loadCommand(name), rest, terminal)
    return EXIT.ok
  } catch (error) {
    return await reportError(error, name, terminal)
  }
}

async function printGeneralHelp(terminal: Terminal): Promise<void> {
  const commands = await Promise.all(COMMAND_NAMES.map(loadCommand))
  await write(terminal.stdout, generalHelp(commands, terminal))
}

/** @throws UsageError if there is no such command */
async function loadCommand(name: string): Promise<Command> {
  if (COMMAND_NAMES.includes(name)) return COMMANDS[name]!()
  if (name === '') throw new UsageError(`a command is missing: ${COMMAND_NAMES.join(', ')}`)
  const [suggestion] = nearestNames(name, COMMAND_NAMES)
  throw new UsageError(
    `there is no command ${name}: ${suggestion ? `did you mean ${suggestion}?` : COMMAND_NAMES.join(', ')}`
  )
}

async function runCommand(command: Command, argv: readonly string[], terminal: Terminal): Promise<number> {
  const end = argv.indexOf('--')
  const wantsHelp = (end < 0 ? argv : argv.slice(0, end)).some(arg => arg === '--help' || arg === '-h')
  if (!wantsHelp) return command.run(argv, terminal)
  await write(terminal.stdout, helpOf(command, terminal))
  return EXIT.ok
}

const CLOSED_OUTPUT_CODES = new Set<string | undefined>(['EPIPE', 'ERR_STREAM_DESTROYED'])

/** Prints an error on stderr. @returns the exit code for it */
async function reportError(error: unknown, command: string, terminal: Terminal): Promise<number> {
  if (CLOSED_OUTPUT_CODES.has((error as NodeJS.ErrnoException)?.code)) return EXIT.ok
  if (terminal.signal.aborted) return EXIT.interrupted
  const { stderr, env } = terminal
  const { red } = coloursFor(stderr, env)
  if (error instanceof UsageError) {
    const program = COMMAND_NAMES.includes(command) ? `netref ${command}` : 'netref'
    await write(stderr, `${red(`${program}:`)} ${error.message}\nSee ${program} --help\n`)
    return EXIT.usage
  }
  const ended = error instanceof SessionEndedError
  const isUnreachable = error instanceof NetrefError && error.code === 'unreachable'
  const [label, message] = ended ? ['Error', error.reason.message] : labelAndMessage(error)
  await write(stderr, `${red(`${toPrintable(label)}:`)} ${toPrintableLines(message)}\n`)
  return ended || isUnreachable ? EXIT.session : EXIT.failed
}

/** Errors of the service are labelled with their class, errors of netref with `Error`. */
function labelAndMessage(error: unknown): [what: string, why: string] {
  if (!(error instanceof Error)) return ['Error', `the call failed with ${formatJSON(error)}`]
  return [error instanceof NetrefError ? 'Error' : error.name, error.message]
}
