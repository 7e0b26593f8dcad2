// Endpoints: what `connect` and `serve` accept besides the address of a server.

import { describeValue } from '../util/describe.js'
import { isNetworkEndpoint, type NetworkEndpoint } from './network-endpoint.js'

/**
 * Passes messages: a Worker, a SharedWorker's `port`, a MessagePort, `parentPort`, or `self` in a worker. The caller keeps
 * it: netref uses it to get a port of its own, and other messages may be sent beside.
 */
export interface MessageEndpoint {
  /** Sends a message, and moves the objects of `transfer` with it. */
  postMessage(message: unknown, transfer: never[]): void
}

/**
 * An endpoint that passes bytes: a Duplex of Node, such as a socket, or a readable and a writable stream of Node or the
 * web. The session owns it from then on, and closes it at its end.
 */
export interface ByteEndpoint {
  /** The stream to read from, or whether a Duplex is readable. */
  readonly readable: boolean | object
  /** The stream to write to, or whether a Duplex is writable. */
  readonly writable: boolean | object
}

/** `self` in a SharedWorker, where each page that connects has a port. */
export interface PortsEndpoint {
  /** Called for each page that connects. netref sets it. */
  onconnect: unknown
}

/** What `connect` takes in place of an address. */
export type Endpoint = MessageEndpoint | ByteEndpoint | NetworkEndpoint
/** What the option `endpoint` of `serve` takes. */
export type ServedEndpoint = Endpoint | PortsEndpoint

/** @throws TypeError for a window: only the caller can decide which origin may read its messages */
export function isMessageEndpoint(endpoint: object): endpoint is MessageEndpoint {
  if (!('postMessage' in endpoint)) return false
  if ('window' in endpoint && endpoint.window === endpoint) {
    throw new TypeError(
      'a window cannot be an endpoint: make a MessageChannel, pass one port here, and post the other to the window with its target origin'
    )
  }
  return true
}

export const isPortsEndpoint = (endpoint: object): endpoint is PortsEndpoint =>
  'onconnect' in endpoint && !('postMessage' in endpoint)

export const isByteEndpoint = (endpoint: object): endpoint is ByteEndpoint =>
  'readable' in endpoint && 'writable' in endpoint

/** Options for opening a socket in Node. */
export const CLIENT_SOCKET_OPTIONS =
  'headers origin agent ca cert key passphrase servername rejectUnauthorized handshakeTimeout'

/** Options that have no meaning over an endpoint, by what to do there instead. */
const SOCKET_ONLY_OPTIONS = {
  'its other end is trusted; keep the endpoint private, or authenticate in the service':
    'authenticate sameIdentity token',
  'no page connects over an endpoint': 'allowedOrigins allowedHosts trustProxy',
  'the clients of other systems need a port': 'gateways',
  'a session ends with its endpoint; create a new endpoint': 'reconnect renew resumeWindow heartbeat',
  'an endpoint needs no address': 'host port path server backlog affinity',
  'it applies only to WebSockets in Node': 'busyPoll',
  'the endpoint is already open; set the option where you open it': CLIENT_SOCKET_OPTIONS
}

/** Those of them that have a meaning over an endpoint on a network. */
const NETWORK_OPTIONS =
  'authenticate sameIdentity token reconnect renew resumeWindow heartbeat handshakeTimeout'.split(' ')

/** @throws TypeError for an option that has no meaning over an endpoint, unless its value is what holds there anyway */
export function checkEndpointOptions(call: 'connect' | 'serve', endpoint: object, options: object): void {
  for (const [remedy, names] of Object.entries(SOCKET_ONLY_OPTIONS)) {
    for (const name of names.split(' ')) {
      const value = (options as Record<string, unknown>)[name]
      if (value === undefined || value === false || (value === 0 && name !== 'port')) continue
      // The request for a port has to be answered in that time.
      if (name === 'handshakeTimeout' && !isByteEndpoint(endpoint)) continue
      if (isNetworkEndpoint(endpoint) && NETWORK_OPTIONS.includes(name)) continue
      throw new TypeError(`${call}: \`${name}\` has no meaning over an endpoint: ${remedy}`)
    }
  }
}

export const notAnEndpointError = (
  call: 'connect' | 'serve',
  endpoint: unknown,
  expected: string
): TypeError => new TypeError(`${call}: ${describeValue(endpoint)} is not an endpoint: ${expected}`)
