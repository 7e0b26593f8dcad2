// Chooses the listener for the options of `serve`.

import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import { DuplexListener, DuplexTransport } from '../transport/duplex.js'
import {
  isByteEndpoint,
  isMessageEndpoint,
  isPortsEndpoint,
  notAnEndpointError
} from '../transport/endpoint.js'
import { MessagePortListener } from '../transport/message-port.js'
import { isNetworkEndpoint } from '../transport/network-endpoint.js'
import type { ClientListener } from '../transport/transport.js'
import { HttpListener } from './http-listener.js'
import { NetworkListener } from './network-listener.js'
import type { ServeOptions } from './options.js'

const KINDS =
  'pass a Worker, a MessagePort, `self` in a worker, a Duplex, { readable, writable }, or bus.service(name) of netref/nats'

/** Creates the listener of a server. @throws TypeError or RangeError for an invalid endpoint or option */
export function listen(options: ServeOptions, settings: Settings): ClientListener {
  const { endpoint } = options
  const payloadBytes = maxPayloadBytes(settings.limits)
  if (endpoint === undefined) return new HttpListener(options, settings)
  if (Object(endpoint) !== endpoint) throw notAnEndpointError('serve', endpoint, KINDS)
  if (isNetworkEndpoint(endpoint)) return new NetworkListener(endpoint, options, settings)
  if (isMessageEndpoint(endpoint) || isPortsEndpoint(endpoint))
    return new MessagePortListener(endpoint, payloadBytes)
  if (isByteEndpoint(endpoint)) return new DuplexListener(new DuplexTransport(endpoint, payloadBytes))
  throw notAnEndpointError('serve', endpoint, KINDS)
}
