// Starts a server with the MCP gateway, and connects the clients of both lines of the MCP SDK to it.
import { once } from 'node:events'
import http, { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport as TransportV1 } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Test } from 'tap'
import { type McpOptions, mcp } from '../../lib/gateways/mcp.js'
import { type ServeOptions, type Server, type ServiceSource, serve } from '../../lib/index.js'
import { assertClean, waitUntil } from './helpers.js'
import type { Untyped } from './wire.js'

/** What the specs use of a client. */
export interface McpClient {
  readonly version: string
  list(): Promise<Untyped[]>
  call(name: string, args?: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<Untyped>
  close(): Promise<void>
}

/** Connects a client over a transport, or by HTTP to a URL. */
type ConnectClient = (to: URL | object, headers?: Record<string, string>) => Promise<McpClient>

const INFO = { name: 'spec', version: '1.0.0' }

const connectV1: ConnectClient = async (to, headers = {}) => {
  const client = new ClientV1(INFO)
  const transport = to instanceof URL ? new HttpV1(to, { requestInit: { headers } }) : to
  await client.connect(transport as TransportV1)
  return {
    version: client.getServerVersion()!.version,
    list: async () => (await client.listTools()).tools,
    call: (name, args = {}, signal) =>
      client.callTool({ name, arguments: args }, undefined, signal && { signal }),
    close: () => client.close()
  }
}

const connectV2 =
  (mode: 'legacy' | 'auto'): ConnectClient =>
  async (to, headers = {}) => {
    const client = new ClientV2(INFO, { versionNegotiation: { mode } })
    const transport = to instanceof URL ? new HttpV2(to, { requestInit: { headers } }) : to
    await client.connect(transport as HttpV2)
    return {
      version: client.getServerVersion()!.version,
      list: async () => (await client.listTools()).tools,
      call: (name, args = {}, signal) => client.callTool({ name, arguments: args }, signal && { signal }),
      close: () => client.close()
    }
  }

/** The clients of the SDK's lines 1 and 2, and the protocol versions that they negotiate. */
export const CLIENTS: Readonly<Record<string, ConnectClient>> = {
  'SDK 1, 2025-11-25': connectV1,
  'SDK 2, 2025-11-25': connectV2('legacy'),
  'SDK 2, 2026-07-28': connectV2('auto')
}

export interface McpServer {
  readonly server: Server
  readonly url: URL
  /** What was reported. */
  readonly errors: Error[]
}

type Options = ServeOptions &
  Omit<McpOptions, keyof ServeOptions> & { readonly gateway?: Partial<McpOptions> }

/** Serves a service by the gateway while `use` runs, then asserts that its sessions have ended and left nothing. */
export async function withMcp(
  t: Test,
  service: ServiceSource,
  { tools, gateway, ...options }: Options,
  use: (served: McpServer) => Promise<void>
): Promise<void> {
  const errors: Error[] = []
  await using server = await serve(service, {
    port: 0,
    host: '127.0.0.1',
    gateways: [mcp({ tools, ...gateway })],
    onError: error => void errors.push(error as Error),
    ...options
  })
  await use({ server, url: new URL(`http://127.0.0.1:${server.port}/mcp`), errors })
  await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
  await assertClean(t, ...server.sessions)
  t.match(server.metrics, { sessions: 0, exports: 0, imports: 0, pending: 0 })
  t.equal(server.metrics.gateways.mcp?.clients, 0)
}

/** The text of a tool's result. */
export const textOf = (result: Untyped): string => result.content.map(({ text }: Untyped) => text).join('\n')

/** Runs `use` with each client. */
export async function withEachClient(
  t: Test,
  to: () => URL | object,
  use: (t: Test, client: McpClient) => Promise<void>
): Promise<void> {
  for (const [name, connect] of Object.entries(CLIENTS))
    await t.test(name, async t => {
      const client = await connect(to())
      await use(t, client)
      await client.close()
    })
}

/** A call of a tool as a message, in the form of protocol version 2025-11-25, or of a later one that `meta` names. */
export const callMessage = (name: string, args: object = {}, id: unknown = 1): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args }
})

export interface PostOptions {
  readonly headers?: OutgoingHttpHeaders
  readonly method?: string
  readonly agent?: Agent
}

/** An answer to a request. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The JSON of the body, or of the last event in it. */
  readonly message: Untyped
}

/** Posts a message, or bytes as they are. */
export async function post(url: URL, body: unknown, options: PostOptions = {}): Promise<Answer> {
  const { headers, ...others } = { method: 'POST', ...options }
  const sent = http.request(url, {
    ...others,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers
    }
  })
  sent.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
  const received = await text(response)
  const json = received.startsWith('{') ? received : received.split('data: ').at(-1)!
  return {
    status: response.statusCode!,
    headers: response.headers,
    text: received,
    message: json.startsWith('{') ? JSON.parse(json) : undefined
  }
}
