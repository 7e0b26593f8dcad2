// The gateway for clients of Pyro, the remote objects of Python.

import { GATEWAY_OPTIONS, type Gateway, type GatewayOptions } from '../../server/gateway.js'
import { checkOptions } from '../../util/check-options.js'
import { PyroConnection } from './connection.js'
import { ItemStreams } from './item-streams.js'
import { protocolOf } from './message-reader.js'
import { MAGIC, PREFIX_BYTES } from './protocol.js'

/**
 * Lets clients of Pyro4 and Pyro5, Python's remote objects, call a service. Any object id is the service, unless it is the
 * path of an object in it: `PYRO:tutorial@host:port`. A result that is an iterator is one in Python. What is no data has no
 * form in Pyro: a call with such a result fails. A text that a client sets as `_pyroHandshake` is the `token()` of the request
 * of `authenticate`.
 *
 * @throws TypeError for an unknown option, or one of the wrong type
 * @example
 * const server = await serve(Calculator, { port: 18861, gateways: [pyro()] })
 * // Python: Pyro5.api.Proxy('PYRO:calculator@localhost:18861').add(1, 2)
 */
export function pyro(options: GatewayOptions = {}): Gateway {
  checkOptions('pyro', options, GATEWAY_OPTIONS)
  const streams = new ItemStreams()
  return {
    ...options,
    name: 'pyro',
    detect: isPyro,
    passesTokens: true,
    handleSocket: (socket, client) => void new PyroConnection(socket, client, streams)
  }
}

/** A message begins with `PYRO` and the version of the protocol. */
function isPyro(bytes: Uint8Array): boolean | undefined {
  if (!MAGIC.subarray(0, bytes.length).every((byte, i) => byte === bytes[i])) return false
  return bytes.length < PREFIX_BYTES ? undefined : protocolOf(bytes) !== undefined
}
