// Defines `serveMcp`, which serves a service to the MCP client at the other end of two streams, such as stdin and stdout.

import type { Readable, Writable } from 'node:stream'
import type { StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import { type CommonOptions, type Pair, pair, type ServiceSource } from '../../index.js'
import { DEFAULT_LIMITS, type Limits } from '../../protocol/limits.js'
import type { RemoteHandle } from '../../types/netref.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { safeString } from '../../util/describe.js'
import { loadSdk, loadStdioSdk } from './sdk.js'
import { createServer, type ToolClient } from './server.js'
import { nameTools } from './tool-names.js'
import { ToolBox } from './tools.js'

/** Options of `serveMcp`: its own, and those of the session with the service. */
export interface ServeMcpOptions extends CommonOptions {
  /** The methods that become tools, as in `mcp`. Each must have a schema. */
  readonly tools: readonly string[]
  /** What the client writes. @default process.stdin */
  readonly input?: Readable | undefined
  /** What the client reads. Nothing else may be written to it. @default process.stdout */
  readonly output?: Writable | undefined
}

const SERVE_MCP_OPTIONS: OptionTypes<Pick<ServeMcpOptions, 'tools' | 'input' | 'output'>> = {
  tools: '',
  input: 'an object',
  output: 'an object'
}

/** A service that an MCP client uses, which `serveMcp` returns. */
export interface McpServing extends AsyncDisposable {
  /** The names of the tools. */
  readonly tools: readonly string[]
  /** Resolves when the client has closed a stream, or after `close()`. */
  readonly closed: Promise<void>
  /** Ends the session with the service, and cancels its calls. */
  close(): Promise<void>
}

/**
 * Serves a service to one MCP client over streams: to the host of a language model that has started this process. The client
 * is not authenticated; it has one session until it closes a stream.
 *
 * @throws TypeError for invalid options
 * @throws Error if the package `@modelcontextprotocol/server` is not installed
 * @example
 * const serving = await serveMcp(Calculator, { tools: ['sum'] })
 * await serving.closed
 */
export async function serveMcp(service: ServiceSource, options: ServeMcpOptions): Promise<McpServing> {
  // Without types, the options may be missing: the error is then about `tools`.
  const given = options ?? {}
  checkOptions('serveMcp', given, SERVE_MCP_OPTIONS, true)
  const { tools, input = process.stdin, output = process.stdout, ...serving } = given
  const toolBox = new ToolBox(nameTools('serveMcp', tools))
  const sdk = loadSdk('serveMcp')
  const stdio = loadStdioSdk('serveMcp')
  const conn = pair(service, { serving })
  try {
    const root = conn.root as RemoteHandle<unknown>
    const { onError = logError } = serving
    const client: ToolClient = {
      limits: { ...DEFAULT_LIMITS, ...givenLimits(serving) },
      exposeStacks: serving.exposeStacks ?? false,
      report: error => onError(error, { session: conn.served })
    }
    const names = (await toolBox.list(root, client.report)).map(({ name }) => name)
    const transport = new stdio.StdioServerTransport(input, output, {
      maxBufferSize: client.limits.jsonBytes
    })
    const { close } = stdio.serveStdio(() => createServer(sdk, toolBox, root, client), { transport })
    return new Serving(names, conn, transport, close)
  } catch (error) {
    await conn.close()
    throw error
  }
}

class Serving implements McpServing {
  readonly closed: Promise<void>

  constructor(
    readonly tools: readonly string[],
    conn: Pair<object>,
    transport: StdioServerTransport,
    private readonly closeStreams: () => Promise<void>
  ) {
    const { onclose } = transport
    this.closed = new Promise(resolve => {
      transport.onclose = () => {
        onclose?.()
        void conn.close().then(resolve)
      }
    })
    void conn.closed.then(closeStreams)
  }

  async close(): Promise<void> {
    await this.closeStreams()
    await this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** A limit that is undefined counts as not given. */
const givenLimits = ({ limits = {} }: CommonOptions): Partial<Limits> =>
  Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined))

const logError = (error: unknown) => console.error(`netref: ${safeString(error)}`)
