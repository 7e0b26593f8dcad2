// Opens the WebSocket of `connect` in Node; the `.browser.ts` sibling does so in pages.

import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import type { Transport } from '../transport/transport.js'
import { WebSocketTransport } from '../transport/websocket.js'
import { checkMs } from '../util/check-options.js'
import { redactCredentials } from '../util/printable.js'
import { CONNECT_TIMEOUT_MS, type ConnectOptions } from './options.js'

export function openSocket(address: string, options: ConnectOptions, { limits }: Settings): Transport {
  const handshakeTimeout = checkMs(
    'connect: handshakeTimeout',
    options.handshakeTimeout ?? CONNECT_TIMEOUT_MS
  )
  const { busyPoll = false, ...others } = options
  const defaults = { perMessageDeflate: false, maxPayload: maxPayloadBytes(limits) }
  return WebSocketTransport.connect(
    address,
    { ...defaults, ...(others as object), handshakeTimeout, autoPong: false },
    redactCredentials(address),
    busyPoll
  )
}
