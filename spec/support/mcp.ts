// Starts a server with the MCP gateway, and connects the clients of both lines of the MCP SDK to it.
import { once } from 'node:events'
import http, { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Test } from 'tap'
import { type McpOptions, mcp } from '../../lib/gateways/mcp.js'
import { type ServeOptions, type Server, type ServiceSource, serve } from '../../lib/index.js'
import { assertClean, waitUntil } from './helpers.js'
import { MCP_CLIENT_NAMES, MCP_CLIENTS, type McpClient, type McpClientName } from './mcp-clients.js'
import type { Untyped } from './wire.js'

/** Connects a client by HTTP. */
export function connectHttp(
  name: McpClientName,
  url: URL,
  headers: Record<string, string> = {}
): Promise<McpClient> {
  const Transport = name.startsWith('SDK 1') ? HttpV1 : HttpV2
  return MCP_CLIENTS[name](new Transport(url, { requestInit: { headers } }))
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

/** Runs `use` with each client. */
export async function withEachClient(
  t: Test,
  url: URL,
  use: (t: Test, client: McpClient) => Promise<void>
): Promise<void> {
  for (const name of MCP_CLIENT_NAMES)
    await t.test(name, async t => {
      const client = await connectHttp(name, url)
      await use(t, client)
      await client.close()
    })
}

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
