// Defines `connectXmlRpc`, which connects to a server of XML-RPC.

import { connectForeign, FOREIGN_CONNECT_OPTIONS } from '../../client/foreign.js'
import type { CommonOptions, Connection } from '../../index.js'
import type { Any } from '../../util/any.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { HttpClient, httpUrl } from '../support/http-client.js'
import { XmlRpcPeer } from './peer.js'
import { loadSax } from './sax.js'

/** Options of `connectXmlRpc`. */
export interface XmlRpcConnectOptions extends CommonOptions {
  /** Further headers of the HTTP requests, by name. @default none */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const { service: _, ...WITHOUT_SERVICE } = FOREIGN_CONNECT_OPTIONS
const XML_RPC_CONNECT_OPTIONS: OptionTypes<XmlRpcConnectOptions> = {
  ...WITHOUT_SERVICE,
  headers: 'an object'
}
/** The path of an address that has none, as for Python's `ServerProxy`. */
const DEFAULT_PATH = '/RPC2'

/**
 * Connects to a server of XML-RPC. Each call is an HTTP request; those of one time run concurrently. The server has methods
 * and data: references in arguments reject, and nothing of this side can be called. A fault is an
 * `XmlRpcFault`. `Netref.keys` and `Netref.describe` ask for `system.listMethods`.
 *
 * @param url the address, which may have a name and a password: `http://user:secret@localhost:8000`
 * @throws TypeError for an invalid address or option
 * @throws Error if the package `sax` is not installed
 * @example
 * await using python = connectXmlRpc<{ add(a: number, b: number): number }>('http://localhost:8000')
 * console.log(await python.root.add(1, 2)) // 3
 */
export function connectXmlRpc<T extends object = Any>(
  url: string | URL,
  options: XmlRpcConnectOptions = {}
): Connection<T> {
  const call = 'connectXmlRpc'
  checkOptions(call, options, XML_RPC_CONNECT_OPTIONS)
  const { headers = {}, ...common } = options
  const sax = loadSax(call)
  const address = httpUrl(url, call)
  if (typeof url === 'string' && !/^\w+:\/\/[^/]*\//.test(url)) address.pathname = DEFAULT_PATH
  return connectForeign<T>(
    async (bridge, limits) =>
      new XmlRpcPeer(
        bridge,
        new HttpClient(address, { ...headers, 'content-type': 'text/xml' }, limits),
        sax,
        limits
      ).methods,
    common,
    call
  )
}
