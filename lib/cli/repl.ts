// `netref repl`: a JavaScript prompt with the root of a server.
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { type REPLServer, start } from 'node:repl'
import { Readable } from 'node:stream'
import { inspect, promisify } from 'node:util'
import { runInContext } from 'node:vm'
import type { RemoteHandle } from '../index.js'
import { type Connection, expose, Netref, type Reason, SessionEndedError } from '../index.js'
import { redactCredentials, toPrintableLines } from '../util/printable.js'
import { withConnection } from './client.js'
import { type Command, EXIT, parseCommandLine, requireArguments } from './command.js'
import { coloursFor, print, type Terminal } from './terminal.js'

export const repl: Command = {
  name: 'repl',
  usage: 'URL',
  summary: 'Opens a JavaScript prompt, with the root of the server as `root`',
  details: [
    'The globals are root, conn, Netref and expose. `await` works at the top level: await root.add(1, 2).',
    'The Tab key completes exposed members. $NETREF_HISTORY is the history file (empty: no history); by default it is',
    '$XDG_STATE_HOME/netref/history, or ~/.local/state/netref/history.'
  ].join('\n'),
  options: {},
  async run(argv, terminal) {
    const [url] = requireArguments(parseCommandLine(argv, repl), 'URL')
    return withConnection(url!, terminal, async conn => {
      await conn.ping()
      if (terminal.stdin.isTTY)
        await print(
          terminal,
          `root is the root of ${redactCredentials(url!)}. Press Tab to complete, enter .exit to leave.`
        )
      return runPrompt(conn, terminal)
    })
  }
}

async function runPrompt(conn: Connection<unknown>, terminal: Terminal): Promise<number> {
  const { stdin, stdout, env } = terminal
  const { bold } = coloursFor(stdout, env)
  const isInteractive = stdin.isTTY === true && stdout.isTTY === true
  const history = isInteractive ? await prepareHistoryFile(env) : ''
  const lines = new SequentialLines(stdin)
  const prompt = start({
    prompt: isInteractive ? bold('> ') : '',
    input: isInteractive ? stdin : Readable.from(lines),
    output: stdout,
    terminal: isInteractive,
    // A preview would call the function that is being typed.
    preview: false,
    writer: value => escapeControls(inspect(value, { colors: isInteractive && !env.NO_COLOR }))
  })
  lines.releaseAfterPrompt(prompt)
  const exit = once(prompt, 'exit')
  Object.assign(prompt.context, { root: conn.root, conn, Netref, expose })
  installRemoteCompletion(prompt)
  if (history !== '') await promisify(prompt.setupHistory.bind(prompt))(history)
  let ended: Reason | undefined
  conn.closed.then(reason => {
    ended = reason
    prompt.close()
  })
  await exit
  if (ended) throw new SessionEndedError(ended)
  return EXIT.ok
}

const COLOUR_CODE = new RegExp(`(${String.fromCharCode(27)}\\[\\d+m)`)

/** Escapes the control characters of Node's output, except its colour codes. */
const escapeControls = (text: string) =>
  text
    .split(COLOUR_CODE)
    .map((part, i) => (i % 2 === 1 ? part : toPrintableLines(part)))
    .join('')

/** Lines of a script: each starts after the previous one has been evaluated. */
class SequentialLines {
  #releaseNextLine = () => {}

  constructor(private readonly input: NodeJS.ReadableStream) {}

  /** Releases the next line when the prompt is shown again: the line has been evaluated, or has failed. */
  releaseAfterPrompt(prompt: REPLServer): void {
    const { displayPrompt } = prompt
    prompt.displayPrompt = (preserveCursor?: boolean) => {
      displayPrompt.call(prompt, preserveCursor)
      this.#releaseNextLine()
    }
    prompt.on('close', () => this.#releaseNextLine())
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for await (const line of createInterface({ input: this.input })) {
      const ended = new Promise<void>(resolve => {
        this.#releaseNextLine = resolve
      })
      yield `${line}\n`
      await ended
    }
  }
}

/** Creates the folder of the history file. @returns its path; empty for no history */
async function prepareHistoryFile(env: Terminal['env']): Promise<string> {
  const { NETREF_HISTORY, XDG_STATE_HOME, HOME = homedir() } = env
  const file = NETREF_HISTORY ?? join(XDG_STATE_HOME || join(HOME, '.local', 'state'), 'netref', 'history')
  if (file !== '') await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  return file
}

type Completion = [names: string[], completed: string]
type CompletionCallback = (error: Error | null, completion?: Completion) => void

/** A path at the end of the line: `root.files.re`. */
const PATH_AT_END =
  /(?:^|[^\w$.\])])([\p{ID_Start}$_][\p{ID_Continue}$]*(?:\.[\p{ID_Start}$_][\p{ID_Continue}$]*)*)\.([\p{ID_Continue}$]*)$/u

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

/** Completes netrefs with the members that their owner exposes, and other values as Node does. */
function installRemoteCompletion(prompt: REPLServer): void {
  const localCompleter = prompt.completer as (line: string, done: CompletionCallback) => void
  const complete = async (line: string): Promise<Completion | undefined> => {
    const [, path, prefix] = PATH_AT_END.exec(line) ?? []
    if (path === undefined) return undefined
    const [base, ...members] = path.split('.') as [string, ...string[]]
    const value: unknown = runInContext(base, prompt.context)
    if (!Netref.is(value)) return undefined
    const at = members.reduce<RemoteHandle<unknown>>(
      (ref, name) => Netref.get(ref, name) as RemoteHandle<unknown>,
      value
    )
    const names = (await Netref.describe(at)).map(({ name }) => name)
    return [names.filter(name => name.startsWith(prefix!) && IDENTIFIER.test(name)), prefix!]
  }
  Object.assign(prompt, {
    completer(line: string, done: CompletionCallback) {
      complete(line).then(
        completion => (completion ? done(null, completion) : localCompleter(line, done)),
        () => done(null, [[], line])
      )
    }
  })
}
