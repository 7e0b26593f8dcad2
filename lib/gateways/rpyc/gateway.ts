// The gateway for clients of RPyC, the remote objects of Python.

import type { Duplex } from 'node:stream'
import {
  GATEWAY_OPTIONS,
  type Gateway,
  type GatewayClient,
  type GatewayOptions
} from '../../server/gateway.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { RpycBridge } from './bridge.js'
import { Registration, type RegistryOptions } from './registry.js'

/** Options of the gateway for RPyC. */
export interface RpycOptions extends GatewayOptions {
  /**
   * Whether lists, dicts, sets and tuples of Python are copied when a client passes them, as netref copies plain data.
   * Without it they are netrefs.
   *
   * @default true
   */
  readonly copies?: boolean | undefined
  /**
   * Registers the gateway with a registry of RPyC, so that Python finds it by name. A registry that does not answer is told by
   * a warning of the process, and asked again every minute.
   *
   * @default no registry
   * @example
   * rpyc({ registry: { names: ['TUTORIAL'] } })
   * // Python: rpyc.connect_by_service('TUTORIAL')
   */
  readonly registry?: RegistryOptions | undefined
}

const RPYC_OPTIONS: OptionTypes<RpycOptions> = {
  ...GATEWAY_OPTIONS,
  copies: 'a boolean',
  registry: 'an object'
}

/**
 * Lets clients of RPyC 5 and 6, Python's remote objects, call a service. They use its objects and functions through netrefs of
 * their own, and it uses theirs.
 *
 * @throws TypeError for an unknown option, or one of the wrong type
 * @throws RangeError if the names for a registry are too long
 * @example
 * const server = await serve(Calculator, { port: 18861, gateways: [rpyc()] })
 * // Python: rpyc.connect('localhost', 18861).root.add(1, 2)
 */
export function rpyc(options: RpycOptions = {}): Gateway {
  checkOptions('rpyc', options, RPYC_OPTIONS)
  const { copies = true, registry, ...gatewayOptions } = options
  const registration = registry && new Registration(registry, 'rpyc')
  return {
    ...gatewayOptions,
    name: 'rpyc',
    detect: isRpyc,
    handleSocket: (socket, client) => serveSocket(socket, client, copies),
    opened: ({ port }) => registration?.begin(port),
    closed: () => registration?.end()
  }
}

/** Maximum length of the first message, of which a client knows no object: a request for the root, or a ping. */
const MAX_FIRST_BYTES = 0xffff
const FLAG_INDEX = 4

/** A frame begins with its length of 4 bytes, a flag, and what all messages begin with. */
function isRpyc(bytes: Uint8Array): boolean | undefined {
  if (bytes.length > 0 && bytes[0] !== 0) return false
  if (bytes.length > 1 && bytes[1] !== 0) return false
  if (bytes.length <= FLAG_INDEX + 2) return undefined
  const length = (bytes[2]! << 8) | bytes[3]!
  const [flag, first, second] = bytes.subarray(FLAG_INDEX)
  if (length > MAX_FIRST_BYTES || flag! > 1) return false
  if (flag === 1) return true
  return first === 0x12 || (first === 1 && second === 0x11)
}

async function serveSocket(socket: Duplex, client: GatewayClient, copies: boolean): Promise<void> {
  const session = await client.openSession()
  const { limits, exposeStacks } = client
  new RpycBridge(session, socket, {
    limits,
    exposeStacks,
    copies,
    onClosed: () => void session.close()
  })
}
