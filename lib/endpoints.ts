// Which transport goes with what `connect` and `serve` were given. A page has `endpoints-browser.ts` in its place.
import type { ConnectOptions } from './connect.js'
import {
  type Endpoint,
  isByteEndpoint,
  isMessageEndpoint,
  isPortsEndpoint,
  notAnEndpoint,
  withoutSecrets
} from './endpoint.js'
import { Entrance } from './entrance.js'
import { checkMs, maxPayload, type Settings } from './options.js'
import type { ServeOptions } from './serve.js'
import type { Listener, Transport } from './transport.js'
import { DuplexListener, DuplexTransport } from './transports/duplex.js'
import { MessagePortListener, MessagePortTransport } from './transports/message-port.js'
import { WebSocketTransport } from './transports/websocket.js'

export type { ServedEndpoint } from './endpoint.js'

/** How long a handshake may take, in ms. */
const PATIENCE = 10_000
const KINDS = 'it is the address of a server, a Worker, a MessagePort, a Duplex, or { readable, writable }'

/** A transport to a server. @throws TypeError for what is neither its address nor an endpoint */
export function open(endpoint: string | Endpoint, options: ConnectOptions, { limits }: Settings): Transport {
  const payload = maxPayload(limits)
  const handshakeTimeout = checkMs('handshakeTimeout', options.handshakeTimeout ?? PATIENCE)
  if (typeof endpoint === 'string') {
    const defaults = { perMessageDeflate: false, maxPayload: payload }
    return WebSocketTransport.connect(
      endpoint,
      { ...defaults, ...(options as object), handshakeTimeout, autoPong: false },
      withoutSecrets(endpoint)
    )
  }
  if (isMessageEndpoint(endpoint)) {
    return MessagePortTransport.connect(endpoint, payload, handshakeTimeout)
  }
  if (isByteEndpoint(endpoint)) return new DuplexTransport(endpoint, payload)
  throw notAnEndpoint(endpoint, KINDS)
}

/** What brings clients to a server. @throws TypeError or RangeError for what is no endpoint, or no option */
export function listen(options: ServeOptions, { limits }: Settings): Listener {
  const { endpoint } = options
  const payload = maxPayload(limits)
  if (endpoint === undefined) return new Entrance(options, limits)
  if (Object(endpoint) !== endpoint) throw notAnEndpoint(endpoint, KINDS)
  if (isMessageEndpoint(endpoint) || isPortsEndpoint(endpoint))
    return new MessagePortListener(endpoint, payload)
  if (isByteEndpoint(endpoint)) return new DuplexListener(new DuplexTransport(endpoint, payload))
  throw notAnEndpoint(endpoint, KINDS)
}
