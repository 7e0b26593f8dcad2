// What a session can be held over, as users give it, besides the address of a server.
import { describe } from '../util/describe.js'

/**
 * What passes messages: a Worker, a SharedWorker's `port`, a MessagePort, `parentPort`, or `self` in a worker. It stays
 * its owner's: netref asks over it for a port of its own, and the owner's messages may go on beside.
 */
export interface MessageEndpoint {
  postMessage(message: unknown, transfer: never[]): void
}

/**
 * What passes bytes: a Duplex of Node's (a socket, say), or a readable and a writable, of Node's or of the web's. It is
 * netref's from then on, and is closed with the session.
 */
export interface ByteEndpoint {
  readonly readable: boolean | object
  readonly writable: boolean | object
}

/** `self` in a SharedWorker: each page that comes brings a port. */
export interface PortsEndpoint {
  onconnect: unknown
}

export type Endpoint = MessageEndpoint | ByteEndpoint
export type ServedEndpoint = Endpoint | PortsEndpoint

/** @throws TypeError for a window: who may read what is sent to it is to be decided by its owner. */
export function isMessageEndpoint(endpoint: object): endpoint is MessageEndpoint {
  if (!('postMessage' in endpoint)) return false
  if ('window' in endpoint && endpoint.window === endpoint) {
    throw new TypeError(
      'a window is no endpoint: make a MessageChannel, give one port to netref and post the other to the window, with the origin that may have it'
    )
  }
  return true
}

export const isPortsEndpoint = (endpoint: object): endpoint is PortsEndpoint =>
  'onconnect' in endpoint && !('postMessage' in endpoint)

export const isByteEndpoint = (endpoint: object): endpoint is ByteEndpoint =>
  'readable' in endpoint && 'writable' in endpoint

/** An address as errors name it: without a name and a password. */
export const redactCredentials = (address: string): string => address.replace(/\/\/[^/?#\\]*@/, '//')

/** Options that only who opens a socket in Node can decide on. */
export const CLIENT_SOCKET_OPTIONS =
  'headers origin agent ca cert key passphrase servername rejectUnauthorized handshakeTimeout'

/** Options of sockets, and what is to be done over an endpoint instead. */
const SOCKET_ONLY_OPTIONS = {
  'whoever holds its other end is let in: give that to nobody else, or ask in the service':
    'authenticate sameIdentity token allowedOrigins allowedHosts trustProxy',
  'a session ends with it: make another endpoint then': 'reconnect renew resumeWindow heartbeat',
  'it is served there, and not at an address of its own': 'host port path server backlog',
  'it is open already: they are for whoever opens it': CLIENT_SOCKET_OPTIONS
}

/** @throws TypeError for an option that means nothing over an endpoint, unless it says what holds there anyway */
export function checkEndpointOptions(call: 'connect' | 'serve', endpoint: object, options: object): void {
  for (const [remedy, names] of Object.entries(SOCKET_ONLY_OPTIONS)) {
    for (const name of names.split(' ')) {
      const value = (options as Record<string, unknown>)[name]
      if (value === undefined || value === false || (value === 0 && name !== 'port')) continue
      // A port is asked for, and has to be answered.
      if (name === 'handshakeTimeout' && !isByteEndpoint(endpoint)) continue
      throw new TypeError(`${call}: \`${name}\` means nothing over an endpoint: ${remedy}`)
    }
  }
}

export const notAnEndpointError = (endpoint: unknown, expected: string): TypeError =>
  new TypeError(`${describe(endpoint)} is no endpoint: ${expected}`)
