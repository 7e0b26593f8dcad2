// Defines `jsonRpc`, the gateway for clients of JSON-RPC 1.0, 1.1 and 2.0 over HTTP and TCP.

import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  GATEWAY_OPTIONS,
  type Gateway,
  type GatewayClient,
  type GatewayOptions
} from '../../server/gateway.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { answer, answerRefusal, readBody } from '../support/http.js'
import { serveConnection } from './connection.js'
import { RequestHandler } from './request-handler.js'
import { isBlank, isOpening } from './text-cutter.js'

/** Options of `jsonRpc`. */
export interface JsonRpcOptions extends GatewayOptions {
  /** Path of the HTTP requests. @default any path that no other gateway names */
  readonly path?: string | undefined
  /** Whether clients may connect without HTTP, as those of Go's `net/rpc/jsonrpc` do. @default true */
  readonly tcp?: boolean | undefined
  /** Whether clients may list and describe the methods: `rpc.discover`, `system.listMethods`, … @default true */
  readonly discover?: boolean | undefined
}

const JSON_RPC_OPTIONS: OptionTypes<JsonRpcOptions> = {
  ...GATEWAY_OPTIONS,
  path: 'a string',
  tcp: 'a boolean',
  discover: 'a boolean'
}

/** Media types of requests; some clients name none. */
const CONTENT_TYPES = ['application/json', 'application/json-rpc', 'application/jsonrequest', '']

/**
 * Lets clients of JSON-RPC 1.0, 1.1 and 2.0 call a service, by HTTP POST requests and over TCP. `ServiceA.Add` is the
 * member `Add` of the member `ServiceA` of the service. What is no data has no form in JSON-RPC: such a result rejects.
 *
 * @throws TypeError for invalid options
 * @example
 * const server = await serve(Calculator, { port: 18861, gateways: [jsonRpc()] })
 */
export function jsonRpc(options: JsonRpcOptions = {}): Gateway {
  checkOptions('jsonRpc', options, JSON_RPC_OPTIONS)
  const { path, tcp = true, discover: isDiscoverable = true, ...gatewayOptions } = options
  return {
    ...gatewayOptions,
    name: 'json-rpc',
    requests: { path, contentTypes: CONTENT_TYPES },
    handleRequest: (request, response, client) => serveRequest(request, response, client, isDiscoverable),
    ...(tcp && {
      detect,
      handleSocket: (socket, client) => serveConnection(socket, client, isDiscoverable)
    })
  }
}

/** Whether a connection begins with a JSON object or array. */
function detect(firstBytes: Uint8Array): boolean | undefined {
  const first = firstBytes.find(byte => !isBlank(byte))
  return first === undefined ? undefined : isOpening(first)
}

async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  client: GatewayClient,
  isDiscoverable: boolean
): Promise<void> {
  // The client is identified before its text is read, which takes memory.
  const { root } = await client.openSession()
  const body = await readBody(request, client.limits).catch(refusal => void answerRefusal(response, refusal))
  if (!body) return
  const handler = new RequestHandler(root, client, { discover: isDiscoverable, nullResult: 'null' })
  // Not 204 for no answer: jsonrpclib takes that for a failure.
  answer(response, 200, 'application/json', await handler.handle(body))
}
