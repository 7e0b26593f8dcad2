// What takes the place of `endpoints.ts` in a page and its workers: the sockets of the page, and nothing of Node's.

import { maxPayload } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import {
  type Endpoint,
  isMessageEndpoint,
  notAnEndpoint,
  OF_OPENING,
  withoutSecrets
} from '../transport/endpoint.js'
import { MessagePortTransport } from '../transport/message-port.js'
import type { Transport } from '../transport/transport.js'
import { BrowserSocketTransport, type NativeSocket } from '../transport/websocket.browser.js'
import type { ConnectOptions, SocketOptions } from './options.js'

/** How long a port may take to be answered, in ms. */
const PATIENCE = 10_000
const KINDS = 'here it is a Worker, a MessagePort, or `self` in a worker'

/** A transport to a server. @throws TypeError for what is neither its address nor an endpoint */
export function open(endpoint: string | Endpoint, options: ConnectOptions, { limits }: Settings): Transport {
  const payload = maxPayload(limits)
  if (typeof endpoint === 'string') {
    const vain = OF_OPENING.split(' ').find(name => options[name as keyof SocketOptions] !== undefined)
    if (vain) throw new TypeError(`connect: ${vain} is not a page's to say`)
    const { WebSocket } = globalThis as unknown as { WebSocket: new (address: string) => NativeSocket }
    const address = endpoint.replace(/^http/, 'ws')
    return new BrowserSocketTransport(new WebSocket(address), withoutSecrets(address), payload)
  }
  if (isMessageEndpoint(endpoint)) {
    return MessagePortTransport.connect(endpoint, payload, options.handshakeTimeout ?? PATIENCE)
  }
  throw notAnEndpoint(endpoint, KINDS)
}
