// What takes the place of `endpoints.ts` in a page and its workers: the sockets of the page, and nothing of Node's.
import type { ConnectOptions } from './connect.js'
import {
  type Endpoint,
  isMessageEndpoint,
  isPortsEndpoint,
  notAnEndpoint,
  OF_OPENING,
  type ServedEndpoint,
  withoutSecrets
} from './endpoint.js'
import { maxPayload, type Settings, type SocketOptions } from './options.js'
import type { ServeOptions } from './serve.js'
import type { Listener, Transport } from './transport.js'
import { MessagePortListener, MessagePortTransport } from './transports/message-port.js'
import { BrowserSocketTransport, type NativeSocket } from './transports/websocket-browser.js'

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

/** What brings clients to a server. @throws TypeError where there is no endpoint */
export function listen({ endpoint }: ServeOptions, { limits }: Settings): Listener {
  const given = Object(endpoint) as ServedEndpoint
  if (isMessageEndpoint(given) || isPortsEndpoint(given)) {
    return new MessagePortListener(given, maxPayload(limits))
  }
  throw notAnEndpoint(endpoint, `a page cannot listen at a port; ${KINDS}`)
}
