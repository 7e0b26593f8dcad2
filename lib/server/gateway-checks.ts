// Checks the gateways that `serve` is given.

import { describeValue } from '../util/describe.js'
import type { Gateway } from './gateway.js'

/**
 * @param ownsServer whether they share the port of a server that is not the user's
 * @throws TypeError or RangeError for gateways that are invalid, or that claim the same requests
 */
export function checkGateways(gateways: readonly Gateway[], ownsServer: boolean): void {
  if (!Array.isArray(gateways))
    throw new TypeError(`serve: \`gateways\` takes a list, such as [rpyc()], not ${describeValue(gateways)}`)
  gateways.forEach((gateway, i) => {
    checkGateway(gateway, `serve: gateways[${i}]`)
    if (!ownsServer && gateway.port === undefined && !gateway.requests?.path)
      throw new TypeError(
        `serve: the gateway "${gateway.name}" needs a \`port\` of its own, or for HTTP a \`path\`, beside \`server\``
      )
    if (gateways.slice(0, i).some(earlier => isSameOnOnePort(earlier, gateway)))
      throw new TypeError(
        `serve: the gateway "${gateway.name}" is there twice; remove one, or give one a \`port\` of its own`
      )
    const other = gateways.slice(0, i).find(earlier => claimsSameRequests(earlier, gateway))
    if (!other) return
    const where = gateway.requests!.path ?? 'any path'
    throw new TypeError(
      `serve: the gateways "${other.name}" and "${gateway.name}" both claim requests at ${where}; give one of them another \`path\` or a \`port\``
    )
  })
}

function checkGateway(gateway: Gateway, label: string): void {
  const { name, handleRequest, detect, requests, port, tls, ...handlers } = Object(gateway) as Gateway
  const { handleSocket, handleConnection } = handlers
  if (typeof gateway === 'function')
    throw new TypeError(`${label}: a function is not a gateway; call it, as in [rpyc()]`)
  if (typeof name !== 'string' || !/^[a-z][a-z\d-]*$/.test(name))
    throw new TypeError(
      `${label}: ${describeValue(gateway)} is not a gateway; pass what rpyc(), say, returns`
    )
  if (handleSocket && handleConnection)
    throw new TypeError(`${label}: "${name}" must have \`handleSocket\` or \`handleConnection\`, not both`)
  const handler = handleConnection ? 'handleConnection' : 'handleSocket'
  if ((handlers[handler] === undefined) !== (detect === undefined))
    throw new TypeError(`${label}: "${name}" must have both \`detect\` and \`${handler}\`, or neither`)
  if ((handleRequest === undefined) !== (requests === undefined))
    throw new TypeError(`${label}: "${name}" must have both \`requests\` and \`handleRequest\`, or neither`)
  if (!detect && !handleRequest)
    throw new TypeError(`${label}: "${name}" serves neither connections nor requests`)
  if (requests?.path !== undefined && !/^\/[^?#\s]*$/.test(requests.path))
    throw new TypeError(
      `${label}: path ${describeValue(requests.path)} must begin with "/" and have no query`
    )
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw new RangeError(`${label}: port ${describeValue(port)} is not a whole number from 0 to 65535`)
  if (tls !== undefined && port === undefined)
    throw new TypeError(`${label}: \`tls\` needs a \`port\` of its own`)
}

/** Whether the second of two gateways would get no connection. */
const isSameOnOnePort = (one: Gateway, other: Gateway): boolean =>
  one.name === other.name &&
  one.port === undefined &&
  other.port === undefined &&
  one.detect !== undefined &&
  other.detect !== undefined

function claimsSameRequests(one: Gateway, other: Gateway): boolean {
  if (one.port !== undefined || other.port !== undefined || !one.requests || !other.requests) return false
  if (one.requests.path !== other.requests.path) return false
  return one.requests.contentTypes.some(type => other.requests!.contentTypes.includes(type))
}
