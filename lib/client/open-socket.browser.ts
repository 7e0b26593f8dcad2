// Opens the WebSocket of `connect` in pages and workers; no import of Node.

import { maxPayloadBytes } from '../protocol/limits.js'
import { CLIENT_SOCKET_OPTIONS } from '../transport/endpoint.js'
import { type BrowserWebSocket, BrowserWebSocketTransport } from '../transport/websocket.browser.js'
import { redactCredentials } from '../util/printable.js'
import type * as node from './open-socket.js'
import type { ConnectOptions } from './options.js'

/** @throws TypeError for an option that a page cannot set */
export const openSocket: typeof node.openSocket = (address, options, { limits }) => {
  const unsupported = `busyPoll ${CLIENT_SOCKET_OPTIONS}`
    .split(' ')
    .find(name => options[name as keyof ConnectOptions] !== undefined)
  if (unsupported) throw new TypeError(`connect: ${unsupported} cannot be set in a browser; remove it`)
  const { WebSocket } = globalThis as unknown as { WebSocket: new (address: string) => BrowserWebSocket }
  const url = address.replace(/^http/, 'ws')
  return new BrowserWebSocketTransport(new WebSocket(url), redactCredentials(url), maxPayloadBytes(limits))
}
