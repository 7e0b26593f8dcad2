// Opens the transport over an endpoint of `connect` in pages and workers, which have no Duplex.

import { maxPayloadBytes } from '../protocol/limits.js'
import { checkEndpointOptions, isMessageEndpoint, notAnEndpointError } from '../transport/endpoint.js'
import { MessagePortTransport } from '../transport/message-port.js'
import type * as node from './open-endpoint.js'
import { CONNECT_TIMEOUT_MS } from './options.js'

const EXPECTED_ENDPOINTS = 'in a page pass a Worker, a MessagePort, or `self` in a worker'

/** @throws TypeError for an option that has no meaning there, and for an object that is no endpoint */
export const openEndpoint: typeof node.openEndpoint = (endpoint, options, { limits }) => {
  checkEndpointOptions('connect', endpoint, options)
  if (!isMessageEndpoint(endpoint)) throw notAnEndpointError('connect', endpoint, EXPECTED_ENDPOINTS)
  return MessagePortTransport.connect(
    endpoint,
    maxPayloadBytes(limits),
    options.handshakeTimeout ?? CONNECT_TIMEOUT_MS
  )
}

/** @throws TypeError: the packages of networks are for Node */
export const openNetworkEndpoint: typeof node.openNetworkEndpoint = endpoint => {
  throw notAnEndpointError('connect', endpoint, EXPECTED_ENDPOINTS)
}
