// Defines `goRpc`, the gateway for clients of Go's net/rpc.

import { GATEWAY_OPTIONS, type Gateway, type GatewayOptions } from '../../server/gateway.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { serveConnection } from './connection.js'
import { declareTypes, GO_TYPE_OPTIONS, type GoTypeOptions } from './declared-types.js'
import { isConnect, isGob } from './opening.js'

/** Options of `goRpc`. */
export interface GoRpcOptions extends GatewayOptions, GoTypeOptions {}

const GO_RPC_OPTIONS: OptionTypes<GoRpcOptions> = { ...GATEWAY_OPTIONS, ...GO_TYPE_OPTIONS }

/**
 * Lets clients of Go's `net/rpc` call a service: those of `rpc.Dial` and of `rpc.DialHTTP`. `ServiceA.Add` is the member `Add` of the
 * member `ServiceA` of the service. A method has one argument; a struct without fields stands for none.
 *
 * A Go client drops its connection if a result is not of the type that it expects. So the results of methods for Go have a
 * type: by `types`, by the `returns` of the member, or else by what the client has sent and by the value.
 *
 * @throws TypeError for invalid options
 * @example
 * const server = await serve(Calculator, { port: 18861, gateways: [goRpc({ types: { 'Maths.Half': 'float64' } })] })
 * // Go: client, err := rpc.Dial("tcp", "localhost:18861")
 */
export function goRpc(options: GoRpcOptions = {}): Gateway {
  checkOptions('goRpc', options, GO_RPC_OPTIONS)
  const { types, registered, ...gatewayOptions } = options
  const declared = declareTypes({ types, registered }, 'goRpc')
  return {
    ...gatewayOptions,
    name: 'go-rpc',
    detect,
    handleSocket: (socket, client) => serveConnection(socket, client, declared)
  }
}

function detect(firstBytes: Uint8Array): boolean | undefined {
  const answers = [isConnect(firstBytes), isGob(firstBytes)]
  return answers.includes(true) || (answers.includes(undefined) ? undefined : false)
}
