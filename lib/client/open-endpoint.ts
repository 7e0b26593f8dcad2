// Opens the transport over an endpoint of `connect` in Node; the `.browser.ts` sibling does so in pages.

import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import { DuplexTransport } from '../transport/duplex.js'
import {
  checkEndpointOptions,
  type Endpoint,
  isByteEndpoint,
  isMessageEndpoint,
  notAnEndpointError
} from '../transport/endpoint.js'
import { MessagePortTransport } from '../transport/message-port.js'
import type { NetworkEndpoint, TransportOpener } from '../transport/network-endpoint.js'
import type { Transport } from '../transport/transport.js'
import { checkMs } from '../util/check-options.js'
import { CONNECT_TIMEOUT_MS, type ConnectOptions } from './options.js'

/** Creates the opener of each session over a network. @throws TypeError for an option that has no meaning there */
export function openNetworkEndpoint(
  endpoint: NetworkEndpoint,
  options: ConnectOptions,
  { limits }: Settings
): () => TransportOpener {
  checkEndpointOptions('connect', endpoint, options)
  const { handshakeTimeout = CONNECT_TIMEOUT_MS, renew = false } = options
  const setup = { limits, openMs: checkMs('connect: handshakeTimeout', handshakeTimeout), renews: renew }
  return () => endpoint.createOpener(setup)
}

const EXPECTED_ENDPOINTS =
  'pass the address of a server, a Worker, a MessagePort, a Duplex, { readable, writable }, or bus.service(name) of netref/nats'

/** @throws TypeError for an option that has no meaning there, and for an object that is no endpoint */
export function openEndpoint(endpoint: Endpoint, options: ConnectOptions, { limits }: Settings): Transport {
  checkEndpointOptions('connect', endpoint, options)
  const payloadBytes = maxPayloadBytes(limits)
  const handshakeTimeout = checkMs(
    'connect: handshakeTimeout',
    options.handshakeTimeout ?? CONNECT_TIMEOUT_MS
  )
  if (isMessageEndpoint(endpoint)) {
    return MessagePortTransport.connect(endpoint, payloadBytes, handshakeTimeout)
  }
  if (isByteEndpoint(endpoint)) return new DuplexTransport(endpoint, payloadBytes)
  throw notAnEndpointError('connect', endpoint, EXPECTED_ENDPOINTS)
}
