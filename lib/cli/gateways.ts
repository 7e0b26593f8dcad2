// The gateways that `netref serve --gateway` starts, by name.
import type { Gateway } from '../gateway.js'
import { nearestNames } from '../util/nearest.js'
import { UsageError } from './command.js'

/** Each is loaded when it is named: some need a package that users install. */
const GATEWAYS: Readonly<Record<string, () => Promise<Gateway>>> = {
  rpyc: async () => (await import('../gateways/rpyc.js')).rpyc(),
  'json-rpc': async () => (await import('../gateways/json-rpc.js')).jsonRpc(),
  'xml-rpc': async () => (await import('../gateways/xml-rpc.js')).xmlRpc(),
  'go-rpc': async () => (await import('../gateways/go-rpc.js')).goRpc(),
  zerorpc: async () => (await import('../gateways/zerorpc.js')).zeroRpc(),
  pyro: async () => (await import('../gateways/pyro.js')).pyro()
}

/** Other gateways: what starts them. */
const STARTED_OTHERWISE: ReadonlyMap<string, string> = new Map([
  ['grpc', 'grpc needs a .proto file: use serve() of netref, with gateways: [grpc({ proto })]'],
  ['mcp', 'mcp needs the names of its tools: use netref mcp FILE --tools NAMES, or serve() of netref']
])

export const GATEWAY_NAMES = Object.keys(GATEWAYS)

/**
 * Loads gateways.
 *
 * @param list their names, with commas between
 * @throws UsageError for an unknown name, or a gateway that is started otherwise
 * @throws Error that names the package that is not installed
 */
export function loadGateways(list: string): Promise<Gateway[]> {
  const names = new Set(list.split(',').map(name => name.trim()))
  for (const name of names) {
    if (GATEWAY_NAMES.includes(name)) continue
    const otherWay = STARTED_OTHERWISE.get(name)
    if (otherWay !== undefined) throw new UsageError(otherWay)
    const [suggestion] = nearestNames(name, GATEWAY_NAMES)
    throw new UsageError(
      `there is no gateway ${name || '""'}: ${suggestion ? `did you mean ${suggestion}?` : GATEWAY_NAMES.join(', ')}`
    )
  }
  return Promise.all([...names].map(name => GATEWAYS[name]!()))
}

/** Where the clients of a gateway connect to, which shares the port of the server. */
export function addressesOf({ requests, detect }: Gateway, serverUrl: string): string {
  const { host } = new URL(serverUrl)
  const http = requests && `http://${host}${requests.path ?? ''}`
  return [http, detect && `tcp://${host}`].filter(Boolean).join(' and ')
}
