// Chooses the listener for the options of `serve` in a page, which has no server sockets.

import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import {
  isMessageEndpoint,
  isPortsEndpoint,
  notAnEndpointError,
  type ServedEndpoint
} from '../transport/endpoint.js'
import { MessagePortListener } from '../transport/message-port.js'
import type { ClientListener } from '../transport/transport.js'
import type { ServeOptions } from './options.js'

const KINDS = 'in a page pass a Worker, a MessagePort, or `self` in a worker'

/** Creates the listener of a server. @throws TypeError if there is no endpoint */
export function listen({ endpoint }: ServeOptions, { limits }: Settings): ClientListener {
  const given = Object(endpoint) as ServedEndpoint
  if (isMessageEndpoint(given) || isPortsEndpoint(given)) {
    return new MessagePortListener(given, maxPayloadBytes(limits))
  }
  throw notAnEndpointError('serve', endpoint, `a page cannot listen on a port; ${KINDS}`)
}
