// Serves the HTTP requests of MCP clients. Each has a session with the service for itself.

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { LimitError, NetrefError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { answer, answerRefusal, readBody } from '../support/http.js'
import { parseJson } from '../support/json-text.js'
import type { Exchanges } from './exchanges.js'
import type { Sdk } from './sdk.js'
import { createServer } from './server.js'
import type { ToolBox } from './tools.js'

/** Levels of objects and lists around an argument: the batch, the message, its `params`, and their `arguments`. */
const MESSAGE_LEVELS = 4
const SESSION_HEADER = 'mcp-session-id'
/** The headers of MCP, which pages may send. */
export const MCP_HEADERS = [SESSION_HEADER, 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'last-event-id']
/** Headers that the SDK reads. */
const PASSED_HEADERS = ['accept', 'content-type', ...MCP_HEADERS]
/** The SDK asks for a URL. */
const URL_OF_REQUESTS = 'http://localhost/mcp'
const PARSE_ERROR = -32_700

/** What all requests of a gateway share. */
export interface HttpServing {
  readonly sdk: Sdk
  readonly tools: ToolBox
  readonly exchanges: Exchanges
}

export async function serveRequest(
  { sdk, tools, exchanges }: HttpServing,
  request: IncomingMessage,
  response: ServerResponse,
  client: GatewayClient
): Promise<void> {
  const abort = new AbortController()
  response.once('close', () => abort.abort())
  try {
    // The client is identified before its text is read, which takes memory.
    const root = await openRoot(response, client)
    const body = await readBody(request, client.limits)
    const message = parse(body, client.limits.depth)
    if (message instanceof SyntaxError) return answerMalformed(response, message)
    const name = exchanges.begin(message, headerOf(request, SESSION_HEADER), abort)
    if (name !== undefined) response.setHeader(SESSION_HEADER, name)
    response.setHeader('access-control-expose-headers', SESSION_HEADER)
    const { limits, exposeStacks, report } = client
    const toolClient = { limits, exposeStacks, report, takeRoom: roomOf(limits) }
    const handler = sdk.createMcpHandler(() => createServer(sdk, tools, root, toolClient))
    const reply = await handler.fetch(toWebRequest(request, abort.signal), { parsedBody: message })
    await send(reply, response, limits, abort.signal)
  } catch (error) {
    if (!answerRefusal(response, error)) throw error
  }
}

/** Bounds the results of a batch: they wait for the client, which may ask for them by few bytes. One result has its own bound. */
function roomOf({ frameBytes }: Limits): (length: number) => void {
  let taken = 0
  return length => {
    if (taken > 0 && taken + length > frameBytes)
      throw new LimitError('limit', 'the results of the batch are too long (limits.frameBytes)')
    taken += length
  }
}

/** @throws NetrefError for a client that gets no session. The header of HTTP 401 is then set. */
async function openRoot(response: ServerResponse, client: GatewayClient): Promise<RemoteHandle<unknown>> {
  try {
    return (await client.openSession()).root
  } catch (error) {
    if (error instanceof NetrefError && error.code === 'unauthorized')
      response.setHeader('www-authenticate', 'Bearer')
    throw error
  }
}

/** @returns the error of a text that is no message */
function parse(body: Uint8Array, depth: number): unknown {
  try {
    return parseJson(body, depth + MESSAGE_LEVELS)
  } catch (error) {
    return error
  }
}

function answerMalformed(response: ServerResponse, { message }: SyntaxError): void {
  const error = { code: PARSE_ERROR, message }
  answer(response, 400, 'application/json', JSON.stringify({ jsonrpc: '2.0', id: null, error }))
}

function toWebRequest(request: IncomingMessage, signal: AbortSignal): Request {
  const headers = PASSED_HEADERS.flatMap((name): [string, string][] => {
    const value = headerOf(request, name)
    return value === undefined ? [] : [[name, value]]
  })
  return new Request(URL_OF_REQUESTS, { method: 'POST', headers, signal })
}

const headerOf = ({ headers }: IncomingMessage, name: string): string | undefined =>
  headers[name] as string | undefined

/** Sends a reply, whose body may be a stream of events, until the signal aborts. */
async function send(
  { status, headers, body }: Response,
  response: ServerResponse,
  { pauseMs }: Limits,
  signal: AbortSignal
): Promise<void> {
  response.writeHead(status, Object.fromEntries(headers))
  for await (const chunk of body ?? []) {
    if (response.write(chunk)) continue
    // A client that does not read is cut off.
    response.setTimeout(pauseMs)
    await once(response, 'drain', { signal }).catch(() => {})
    response.setTimeout(0)
  }
  response.end()
}
