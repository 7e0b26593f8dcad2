// `netref repl`: a JavaScript prompt with the root of a server at hand.
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { type REPLServer, start } from 'node:repl'
import { Readable } from 'node:stream'
import { inspect, promisify } from 'node:util'
import { runInContext } from 'node:vm'
import type { Reach } from '../index.js'
import { type Connection, expose, Netref, type Reason, SessionEndedError } from '../index.js'
import { printableLines } from '../util/printable.js'
import { withServer } from './client.js'
import { argumentsOf, type Command, EXIT, parse } from './command.js'
import { coloursFor, print, type Terminal } from './terminal.js'

export const repl: Command = {
  name: 'repl',
  usage: 'URL',
  summary: 'A JavaScript prompt, with the root of the server in `root`',
  details: [
    'At hand are root, conn, Netref and expose; `await` works at the top level: await root.add(1, 2).',
    'The Tab key completes what the server exposes. Lines are kept in $NETREF_HISTORY (none, if that is empty),',
    'else in $XDG_STATE_HOME/netref/history, else in ~/.local/state/netref/history.'
  ].join('\n'),
  options: {},
  async run(argv, terminal) {
    const [url] = argumentsOf(parse(argv, repl), 'URL')
    return withServer(url!, terminal, async conn => {
      await conn.ping()
      if (terminal.stdin.isTTY)
        await print(terminal, `root is what ${url} offers. Tab completes, .exit ends.`)
      return converse(conn, terminal)
    })
  }
}

async function converse(conn: Connection<unknown>, terminal: Terminal): Promise<number> {
  const { stdin, stdout, env } = terminal
  const { bold } = coloursFor(stdout, env)
  const person = stdin.isTTY === true && stdout.isTTY === true
  const history = person ? await historyFile(env) : ''
  const lines = new Lines(stdin)
  const prompt = start({
    prompt: person ? bold('> ') : '',
    input: person ? stdin : Readable.from(lines),
    output: stdout,
    terminal: person,
    // Looking ahead would call what is being typed.
    preview: false,
    writer: value => shown(inspect(value, { colors: person && !env.NO_COLOR }))
  })
  lines.waitFor(prompt)
  const exit = once(prompt, 'exit')
  Object.assign(prompt.context, { root: conn.root, conn, Netref, expose })
  completeRemote(prompt)
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

const COLOUR = new RegExp(`(${String.fromCharCode(27)}\\[\\d+m)`)

/** What Node shows of a value, with its colours, and nothing else that a terminal would act on. */
const shown = (text: string) =>
  text
    .split(COLOUR)
    .map((part, i) => (i % 2 === 1 ? part : printableLines(part)))
    .join('')

/** Lines that no person types: each waits until the one before has come to its end. */
class Lines {
  #goOn = () => {}

  constructor(private readonly input: NodeJS.ReadableStream) {}

  /** A line has come to its end, with a value or an error, when the prompt is shown again. */
  waitFor(prompt: REPLServer): void {
    const { displayPrompt } = prompt
    prompt.displayPrompt = (preserveCursor?: boolean) => {
      displayPrompt.call(prompt, preserveCursor)
      this.#goOn()
    }
    prompt.on('close', () => this.#goOn())
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for await (const line of createInterface({ input: this.input })) {
      const ended = new Promise<void>(resolve => {
        this.#goOn = resolve
      })
      yield `${line}\n`
      await ended
    }
  }
}

/** The file that keeps the lines of a person, in a folder that is there by then; none, if it is to be none. */
async function historyFile(env: Terminal['env']): Promise<string> {
  const { NETREF_HISTORY, XDG_STATE_HOME, HOME = homedir() } = env
  const file = NETREF_HISTORY ?? join(XDG_STATE_HOME || join(HOME, '.local', 'state'), 'netref', 'history')
  if (file !== '') await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  return file
}

type Completion = [names: string[], completed: string]
type Completed = (error: Error | null, completion?: Completion) => void

/** A path that ends here: `root.files.re`. */
const PATH =
  /(?:^|[^\w$.\])])([\p{ID_Start}$_][\p{ID_Continue}$]*(?:\.[\p{ID_Start}$_][\p{ID_Continue}$]*)*)\.([\p{ID_Continue}$]*)$/u

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

/** The Tab key asks the home of a netref what there is; of anything else Node knows. */
function completeRemote(prompt: REPLServer): void {
  const local = prompt.completer as (line: string, done: Completed) => void
  const complete = async (line: string): Promise<Completion | undefined> => {
    const [, path, begun] = PATH.exec(line) ?? []
    if (path === undefined) return undefined
    const [base, ...steps] = path.split('.') as [string, ...string[]]
    const value: unknown = runInContext(base, prompt.context)
    if (!Netref.is(value)) return undefined
    const at = steps.reduce<Reach<unknown>>((ref, name) => Netref.get(ref, name) as Reach<unknown>, value)
    const names = (await Netref.describe(at)).map(({ name }) => name)
    return [names.filter(name => name.startsWith(begun!) && IDENTIFIER.test(name)), begun!]
  }
  Object.assign(prompt, {
    completer(line: string, done: Completed) {
      complete(line).then(
        completion => (completion ? done(null, completion) : local(line, done)),
        () => done(null, [[], line])
      )
    }
  })
}
