// Chooses the transport for the target of `connect` in pages and workers; no import of Node.

import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import {
  CLIENT_SOCKET_OPTIONS,
  type Endpoint,
  isMessageEndpoint,
  notAnEndpointError,
  redactCredentials
} from '../transport/endpoint.js'
import { MessagePortTransport } from '../transport/message-port.js'
import type { Transport } from '../transport/transport.js'
import { type BrowserWebSocket, BrowserWebSocketTransport } from '../transport/websocket.browser.js'
import type { ConnectOptions } from './options.js'

/** How long a port may take to answer, in ms. */
const CONNECT_TIMEOUT_MS = 10_000
const EXPECTED_ENDPOINTS = 'in a page pass a Worker, a MessagePort, or `self` in a worker'

/** Opens a transport to a server. @throws TypeError if the target is neither an address nor an endpoint */
export function openTransport(
  endpoint: string | Endpoint,
  options: ConnectOptions,
  { limits }: Settings
): Transport {
  const payloadBytes = maxPayloadBytes(limits)
  if (typeof endpoint === 'string') {
    const unsupported = `busyPoll ${CLIENT_SOCKET_OPTIONS}`
      .split(' ')
      .find(name => options[name as keyof ConnectOptions] !== undefined)
    if (unsupported) throw new TypeError(`connect: ${unsupported} cannot be set in a browser; remove it`)
    const { WebSocket } = globalThis as unknown as { WebSocket: new (address: string) => BrowserWebSocket }
    const address = endpoint.replace(/^http/, 'ws')
    return new BrowserWebSocketTransport(new WebSocket(address), redactCredentials(address), payloadBytes)
  }
  if (isMessageEndpoint(endpoint)) {
    return MessagePortTransport.connect(
      endpoint,
      payloadBytes,
      options.handshakeTimeout ?? CONNECT_TIMEOUT_MS
    )
  }
  throw notAnEndpointError(endpoint, EXPECTED_ENDPOINTS)
}
