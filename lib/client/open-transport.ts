// Chooses the transport for the target of `connect`; the `.browser.ts` sibling does so in pages.

import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import { DuplexTransport } from '../transport/duplex.js'
import {
  type Endpoint,
  isByteEndpoint,
  isMessageEndpoint,
  notAnEndpointError,
  redactCredentials
} from '../transport/endpoint.js'
import { MessagePortTransport } from '../transport/message-port.js'
import type { Transport } from '../transport/transport.js'
import { WebSocketTransport } from '../transport/websocket.js'
import { checkMs } from '../util/check-options.js'
import type { ConnectOptions } from './options.js'

/** How long the opening handshake may take, in ms. */
const CONNECT_TIMEOUT_MS = 10_000
const EXPECTED_ENDPOINTS =
  'pass the address of a server, a Worker, a MessagePort, a Duplex, or { readable, writable }'

/** Opens a transport to a server. @throws TypeError if the target is neither an address nor an endpoint */
export function openTransport(
  endpoint: string | Endpoint,
  options: ConnectOptions,
  { limits }: Settings
): Transport {
  const payloadBytes = maxPayloadBytes(limits)
  const handshakeTimeout = checkMs('handshakeTimeout', options.handshakeTimeout ?? CONNECT_TIMEOUT_MS)
  if (typeof endpoint === 'string') {
    const { busyPoll = false, ...others } = options
    const defaults = { perMessageDeflate: false, maxPayload: payloadBytes }
    return WebSocketTransport.connect(
      endpoint,
      { ...defaults, ...(others as object), handshakeTimeout, autoPong: false },
      redactCredentials(endpoint),
      busyPoll
    )
  }
  if (isMessageEndpoint(endpoint)) {
    return MessagePortTransport.connect(endpoint, payloadBytes, handshakeTimeout)
  }
  if (isByteEndpoint(endpoint)) return new DuplexTransport(endpoint, payloadBytes)
  throw notAnEndpointError(endpoint, EXPECTED_ENDPOINTS)
}
