// Defines `zeroRpc`, the gateway for clients of ZeroRPC.

import { GATEWAY_OPTIONS, type Gateway, type GatewayOptions } from '../../server/gateway.js'
import { checkOptions } from '../../util/check-options.js'
import { loadOptionalPackage } from '../../util/optional-package.js'
import { serveConnection } from './connection.js'
import type { MessagePack } from './event.js'
import { isGreeting } from './zmtp.js'

/** Options of `zeroRpc`. */
export interface ZeroRpcOptions extends GatewayOptions {}

/**
 * Lets clients of ZeroRPC call a service, as those of Python's `zerorpc` do. They connect by ZeroMQ over TCP, which netref
 * speaks itself. `ServiceA.Add` is the member `Add` of the member `ServiceA` of the service. An iterator or a stream as a
 * result is a stream of ZeroRPC. What else is no data has no form in ZeroRPC: a call with such a result fails.
 *
 * @throws TypeError for invalid options
 * @throws Error if the package `@msgpack/msgpack` is not installed
 * @example
 * const server = await serve(Calculator, { port: 18861, gateways: [zeroRpc({ port: 4242 })] })
 */
export function zeroRpc(options: ZeroRpcOptions = {}): Gateway {
  checkOptions('zeroRpc', options, GATEWAY_OPTIONS)
  const messagePack = loadOptionalPackage<MessagePack>('@msgpack/msgpack', 'zeroRpc')
  return {
    ...options,
    name: 'zerorpc',
    detect: isGreeting,
    handleSocket: (socket, client) => serveConnection(socket, client, messagePack)
  }
}
