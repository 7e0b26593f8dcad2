// Defines `connectJsonRpc`, which connects to a server of JSON-RPC.

import { connectForeign, FOREIGN_CONNECT_OPTIONS } from '../../client/foreign.js'
import type { Reason } from '../../errors.js'
import type { CommonOptions, Connection } from '../../index.js'
import type { Any } from '../../util/any.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { describeValue } from '../../util/describe.js'
import { HttpChannel } from './http-channel.js'
import { RemoteService } from './remote-service.js'
import { TcpChannel } from './tcp-channel.js'

/** Options of `connectJsonRpc`. */
export interface JsonRpcConnectOptions extends CommonOptions {
  /** Further headers of the HTTP requests, by name. @default none */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const { service: _, ...WITHOUT_SERVICE } = FOREIGN_CONNECT_OPTIONS
const OPTIONS: OptionTypes<JsonRpcConnectOptions> = { ...WITHOUT_SERVICE, headers: 'an object' }

/**
 * Connects to a server of JSON-RPC, by HTTP (`http:`, `https:`) or over TCP (`tcp:`). `conn.root.ServiceA.Add(1, 2)` calls the
 * method `ServiceA.Add`. Arguments are data: JSON-RPC has no references. A call that the server answers with an error
 * rejects with a `JsonRpcError`.
 *
 * @param url a user and a password in an HTTP address are sent as Basic authentication
 * @throws TypeError for an invalid address, and for invalid options
 * @example
 * await using conn = connectJsonRpc<Calculator>('http://localhost:18861/')
 * console.log(await conn.root.add(1, 2))
 */
export function connectJsonRpc<T extends object = Any>(
  url: string | URL,
  options: JsonRpcConnectOptions = {}
): Connection<T> {
  checkOptions('connectJsonRpc', options, OPTIONS)
  const { headers = {}, ...common } = options
  const address = parseAddress(url)
  return connectForeign<T>(
    async (bridge, limits) => {
      let service: RemoteService | undefined
      const onLost = (reason: Reason) => {
        service?.end(reason)
        bridge.end(reason)
      }
      const channel =
        address.protocol === 'tcp:'
          ? await TcpChannel.open(address, limits, onLost)
          : new HttpChannel(address, headers, limits)
      service = new RemoteService(bridge, channel, limits)
      void bridge.closed.then(reason => service!.end(reason))
      return service.methods
    },
    common,
    'connectJsonRpc'
  )
}

function parseAddress(url: string | URL): URL {
  const address = URL.canParse(String(url)) ? new URL(url) : undefined
  if (address && /^https?:$/.test(address.protocol)) return address
  if (address?.protocol === 'tcp:' && address.port) return address
  throw new TypeError(
    `connectJsonRpc: ${describeValue(String(url))} is not an address: http://host/path, https://host/path or tcp://host:port`
  )
}
