// `netref serve`: serves a service from a file.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parse } from 'node:path'
import type { Gateway } from '../gateway.js'
import {
  type CallErrorContext,
  type ServeOptions,
  type Server,
  type ServiceSource,
  serve as serveSource
} from '../index.js'
import { JsonLog } from '../operate.js'
import { redactCredentials } from '../util/printable.js'
import {
  type Command,
  checkUsage,
  EXIT,
  numberOption,
  type Parsed,
  parseCommandLine,
  requireArguments,
  UsageError
} from './command.js'
import { formatFailedCall } from './failed-call.js'
import { addressesOf, GATEWAY_NAMES, loadGateways } from './gateways.js'
import { type NatsAddress, parseNatsAddress, withBus } from './nats.js'
import { isService, loaderHelp, loadService } from './service-file.js'
import { onInterruption, print, type Terminal, write } from './terminal.js'

/** How long calls may take to finish at the end, in ms. Docker kills a process after 10 s. */
const DRAIN_MS = 8000

/** Set in a process that is restarted on changes: that must not wait for calls. */
const WATCHED = 'NETREF_WATCHED'

export const serve: Command = {
  name: 'serve',
  usage: 'FILE',
  summary: 'Serves the default export of a module, or its only service',
  details: [
    'SIGTERM and Ctrl-C let calls finish for up to 8 s; a second one ends the process at once.',
    ...loaderHelp('serve')
  ].join('\n'),
  options: {
    port: {
      type: 'string',
      short: 'p',
      value: 'PORT',
      help: 'port to listen on; 0 for any free port (default: 18861)'
    },
    host: {
      type: 'string',
      value: 'HOST',
      help: 'address to listen on (default: 127.0.0.1, this machine only)'
    },
    gateway: {
      type: 'string',
      short: 'g',
      value: 'NAMES',
      help: `let the clients of other systems in: ${GATEWAY_NAMES.join(',')}`
    },
    nats: {
      type: 'string',
      value: 'URL',
      help: 'serve on NATS, as in nats://localhost:4222/NAME (default name: that of the class)'
    },
    json: {
      type: 'boolean',
      help: 'log to the standard error as lines of JSON'
    },
    watch: {
      type: 'boolean',
      short: 'w',
      help: 'restart when the file, or a module that it imports, changes'
    }
  },
  async run(argv, terminal) {
    const parsed = parseCommandLine(argv, serve)
    const [file] = requireArguments(parsed, 'FILE')
    const port = numberOption(parsed, 'port', 18861)
    if (parsed.values.watch) return runInWatchMode(argv, terminal)
    const source = await loadService(file!, 'serve')
    const { host, gateway, nats } = parsed.values as { host?: string; gateway?: string; nats?: string }
    const log = (line: string) => void write(terminal.stderr, `${line}\n`).catch(() => {})
    const onCallError = (error: unknown, { call }: CallErrorContext) => log(formatFailedCall(error, call))
    const jsonLog = parsed.values.json ? new JsonLog(log) : undefined
    const start = async (options: ServeOptions, url?: string) => {
      const server = await serveSource(source, { ...options, ...(jsonLog?.hooks ?? { onCallError }) })
      jsonLog?.follow(server)
      await serveUntilInterrupted(server, url ?? server.url, options.gateways, terminal)
      return EXIT.ok
    }
    if (nats === undefined) {
      const gateways = gateway === undefined ? undefined : await loadGateways(gateway)
      return start({ port, host, gateways })
    }
    const address = requireNatsAddress(nats, parsed)
    const name = address.name || nameOf(source, file!)
    const url = `${redactCredentials(address.server)}/${name}`
    return withBus(
      address,
      bus => start({ endpoint: checkUsage(() => bus.service(name)) }, url),
      jsonLog && { onError: jsonLog.hooks.onError }
    )
  }
}

/** @throws UsageError for another address, and for options that have no meaning on NATS */
function requireNatsAddress(url: string, { values }: Parsed): NatsAddress {
  const unusable = ['port', 'host', 'gateway'].find(name => values[name] !== undefined)
  if (unusable) throw new UsageError(`--${unusable} cannot be combined with --nats`)
  const address = parseNatsAddress(url)
  if (address) return address
  throw new UsageError(`--nats ${redactCredentials(url)} is not an address such as nats://localhost:4222`)
}

/** The name of the class, or else of the file. */
const nameOf = (source: ServiceSource, file: string): string =>
  isService(source) ? (source as { name: string }).name : parse(file).name

/** Prints where clients find the server, and closes it at the interruption. */
async function serveUntilInterrupted(
  server: Server,
  url: string,
  gateways: readonly Gateway[] = [],
  terminal: Terminal
): Promise<void> {
  await print(terminal, `listening at ${url}`)
  for (const gateway of gateways) await print(terminal, `${gateway.name} at ${addressesOf(gateway, url)}`)
  const { signal, env } = terminal
  if (!signal.aborted) await once(signal, 'abort')
  await server.close({ drain: env[WATCHED] ? 0 : DRAIN_MS })
}

/** Runs the same command without `--watch` in a process that Node restarts on changes. */
async function runInWatchMode(
  argv: readonly string[],
  { program, signal, stdout, stderr, env }: Terminal
): Promise<number> {
  const rest = argv.filter(arg => arg !== '--watch' && arg !== '-w')
  const child = spawn(
    process.execPath,
    ['--watch', '--watch-preserve-output', ...program, 'serve', ...rest],
    {
      env: { ...env, [WATCHED]: '1' },
      stdio: ['ignore', 'pipe', 'pipe']
    }
  )
  child.stdout.pipe(stdout, { end: false })
  child.stderr.pipe(stderr, { end: false })
  onInterruption(signal, () => child.kill())
  await once(child, 'close')
  return EXIT.ok
}
