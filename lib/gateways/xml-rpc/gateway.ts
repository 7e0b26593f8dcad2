// Defines `xmlRpc`, the gateway for clients of XML-RPC.

import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  GATEWAY_OPTIONS,
  type Gateway,
  type GatewayClient,
  type GatewayOptions
} from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { answer, answerRefusal, readBody } from '../support/http.js'
import { writeFault, writeResult } from './documents.js'
import { decodeDocument } from './encoding.js'
import { faultOf } from './fault.js'
import { MalformedXmlError } from './malformed.js'
import { MethodCaller } from './method-caller.js'
import { readDocument } from './reader.js'
import { loadSax, type Sax } from './sax.js'

/** Options of `xmlRpc`. */
export interface XmlRpcOptions extends GatewayOptions {
  /** Path of the requests. @default any path that no other gateway names */
  readonly path?: string | undefined
}

const XML_RPC_OPTIONS: OptionTypes<XmlRpcOptions> = { ...GATEWAY_OPTIONS, path: 'a string' }
const CONTENT_TYPES = ['text/xml', 'application/xml']

/**
 * Lets clients of XML-RPC call a service by HTTP POST requests, as Python's `xmlrpc.client` does. `ServiceA.Add` is the member
 * `Add` of the member `ServiceA` of the service. What is no data has no form in XML-RPC: a call with such a result fails.
 *
 * @throws TypeError for invalid options
 * @throws Error if the package `sax` is not installed
 * @example
 * const server = await serve(Calculator, { port: 18861, gateways: [xmlRpc()] })
 */
export function xmlRpc(options: XmlRpcOptions = {}): Gateway {
  checkOptions('xmlRpc', options, XML_RPC_OPTIONS)
  const sax = loadSax('xmlRpc')
  const { path, ...gatewayOptions } = options
  return {
    ...gatewayOptions,
    name: 'xml-rpc',
    requests: { path, contentTypes: CONTENT_TYPES },
    handleRequest: (request, response, client) => serveRequest(sax, request, response, client)
  }
}

async function serveRequest(
  sax: Sax,
  request: IncomingMessage,
  response: ServerResponse,
  client: GatewayClient
): Promise<void> {
  try {
    // The client is identified before its document is read. Most clients send the head and the body apart.
    const { root } = await client.openSession()
    const body = await readBody(request, client.limits)
    // Faults have the status 200, too.
    answer(response, 200, 'text/xml; charset=utf-8', await respond(sax, body, request, root, client))
  } catch (error) {
    if (!answerRefusal(response, error)) throw error
  }
}

/** The response to a request, as a document. */
async function respond(
  sax: Sax,
  body: Uint8Array,
  { headers }: IncomingMessage,
  root: RemoteHandle<unknown>,
  client: GatewayClient
): Promise<string> {
  try {
    const document = await readDocument(sax, decodeDocument(body, headers['content-type']), client.limits)
    if (document.kind !== 'call') throw new MalformedXmlError('a response')
    return writeResult(await new MethodCaller(root, client).call(document.method, document.params))
  } catch (error) {
    return writeFault(faultOf(error, client.exposeStacks))
  }
}
