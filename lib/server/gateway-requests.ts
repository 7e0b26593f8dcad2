// Decides which gateway serves an HTTP request, and keeps out the requests of pages that may not call the service.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { quote } from '../util/describe.js'
import type { Gateway } from './gateway.js'

/** Content types that a page may send to any server without asking it. */
const UNASKED_CONTENT_TYPES = /^(|text\/plain|application\/x-www-form-urlencoded|multipart\/form-data)$/
/** The answer to a page that asks whether it may send a request. */
const preflightHeaders = (gateways: readonly Gateway[]) => ({
  'access-control-allow-methods': 'POST',
  'access-control-allow-headers': [
    ...['content-type', 'authorization', 'traceparent'],
    ...gateways.flatMap(({ requests }) => requests!.headers ?? [])
  ].join(', '),
  'access-control-max-age': '600'
})

const pathOf = ({ url }: IncomingMessage) => url!.split('?', 1)[0]!

/** Whether a request is for gateways: by its path, or as a POST request. */
export const isForGateways = (request: IncomingMessage, gateways: readonly Gateway[]): boolean =>
  request.method === 'POST' ||
  request.method === 'OPTIONS' ||
  gateways.some(({ requests }) => requests!.path === pathOf(request))

/** The gateways that serve the path of a request. */
export function gatewaysAtPath(request: IncomingMessage, gateways: readonly Gateway[]): readonly Gateway[] {
  const path = pathOf(request)
  const named = gateways.filter(({ requests }) => requests!.path === path)
  return named.length > 0 ? named : gateways.filter(({ requests }) => requests!.path === undefined)
}

/**
 * Finds the gateway that serves a request, by method and content type. Otherwise it responds.
 *
 * @param gateways those that serve its path
 * @param origin of the page that sends it, which may connect; undefined if it is not a page
 */
export function routeRequest(
  request: IncomingMessage,
  response: ServerResponse,
  gateways: readonly Gateway[],
  origin: string | undefined
): Gateway | undefined {
  if (origin !== undefined) {
    response.setHeader('access-control-allow-origin', origin)
    response.setHeader('vary', 'origin')
    if (request.method === 'OPTIONS') {
      response.writeHead(204, preflightHeaders(gateways)).end()
      return undefined
    }
  }
  if (request.method !== 'POST') {
    response.setHeader('allow', 'POST')
    return respond(response, 405, 'only POST requests are served here')
  }
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  const isAcceptable = origin === undefined || !UNASKED_CONTENT_TYPES.test(type)
  const gateway = gateways.find(({ requests }) => requests!.contentTypes.includes(type))
  if (gateway && isAcceptable) return gateway
  const accepted = gateways.flatMap(({ requests }) => requests!.contentTypes).filter(type => type !== '')
  const from = isAcceptable ? '' : ' from pages'
  const what = `the content type ${quote(type)} is not accepted here${from}`
  return respond(response, 415, `${what}; set the header content-type to ${accepted.join(' or ')}`)
}

/** Responds with a text, or breaks off a response that has begun. */
export function respond(response: ServerResponse, status: number, text: string): undefined {
  if (response.headersSent || response.destroyed) response.destroy()
  else response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
  return undefined
}

/** The responses of connections that are open. */
const responses = new WeakMap<Socket, Set<ServerResponse>>()

/**
 * Makes a response emit `close` when its connection closes. Node does so only for the first of several responses that a
 * client has asked for without waiting.
 */
export function closeWithConnection(response: ServerResponse, connection: Socket): void {
  let open = responses.get(connection)
  if (!open) {
    const added = new Set<ServerResponse>()
    open = added
    responses.set(connection, added)
    connection.once('close', () => {
      for (const waiting of added)
        if (!waiting.socket) {
          waiting.destroy()
          waiting.emit('close')
        }
    })
  }
  open.add(response)
  response.once('close', () => open.delete(response))
}
