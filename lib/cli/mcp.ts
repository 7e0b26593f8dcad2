// `netref mcp`: serves a service from a file to the host of a language model, over the standard streams.
import { type Readable, Writable } from 'node:stream'
import type { CallErrorContext } from '../index.js'
import { safeString } from '../util/describe.js'
import { toPrintable } from '../util/printable.js'
import { type Command, checkUsage, EXIT, parseCommandLine, requireArguments, UsageError } from './command.js'
import { formatFailedCall } from './failed-call.js'
import { loaderHelp, loadService } from './service-file.js'
import { type Output, onInterruption, type Terminal, write } from './terminal.js'

export const mcp: Command = {
  name: 'mcp',
  usage: 'FILE --tools NAMES',
  summary: 'Serves a module as tools of an MCP host, over the standard streams',
  details: [
    'The host starts this command. What the service prints goes to the standard error.',
    ...loaderHelp('mcp')
  ].join('\n'),
  options: {
    tools: {
      type: 'string',
      short: 't',
      value: 'NAMES',
      help: 'methods that become tools, as in sum,ServiceA.Add ; each must have a schema'
    }
  },
  async run(argv, terminal) {
    const parsed = parseCommandLine(argv, mcp)
    const [file] = requireArguments(parsed, 'FILE')
    const { tools } = parsed.values as { tools?: string }
    if (tools === undefined)
      throw new UsageError(
        'no tools are named; name the methods that the model may call, as in --tools sum,ServiceA.Add'
      )
    const { serveMcp } = await import('../gateways/mcp.js')
    const log = (line: string) => void write(terminal.stderr, `${line}\n`).catch(() => {})
    // Before the module is loaded, which may print.
    const output = divertOutput(terminal)
    const serving = await serveMcp(await loadService(file!, 'mcp'), {
      tools: tools.split(',').map(name => name.trim()),
      input: terminal.stdin as Readable,
      output,
      onError: error => log(toPrintable(safeString(error))),
      onCallError: (error: unknown, { call }: CallErrorContext) => log(formatFailedCall(error, call))
    }).catch(error =>
      checkUsage(() => {
        throw error
      })
    )
    if (serving.tools.length === 0) {
      await serving.close()
      throw new UsageError('none of the named methods is a tool')
    }
    log(`tools: ${serving.tools.join(', ')}`)
    onInterruption(terminal.signal, () => void serving.close())
    await serving.closed
    return EXIT.ok
  }
}

/**
 * Keeps the standard output for MCP: what the service writes to it goes to the standard error.
 *
 * @returns a stream to the standard output
 */
function divertOutput({ stdout, stderr }: Terminal): Writable {
  const writeOut: Output['write'] = stdout.write.bind(stdout)
  stdout.write = stderr.write.bind(stderr)
  return new Writable({ write: (chunk, _, done) => void writeOut(chunk, done) })
}
