// Which web pages may connect. A browser opens a WebSocket to any server for any page, with the cookies the user has
// there, and tells only who asks: so the server has to look at `Origin`, and at `Host`, which a page whose name was
// made to point at this machine (DNS rebinding) cannot hide.
import { describe, quote } from '../util/describe.js'
import type { UpgradeRequest } from './upgrade-request.js'

export interface OriginOptions {
  /**
   * Origins whose pages may connect, besides the server's own; `'*'` lets every page in, and is all that lets in
   * one with `Origin: null` (a file, a sandboxed iframe). What is no browser sends no origin, and is let in.
   *
   * @default [] only pages from the same scheme, host and port
   * @example ['https://app.example.com', 'http://localhost:5173']
   */
  readonly allowedOrigins?: readonly string[] | '*' | undefined
  /**
   * Names under which clients may ask for the server, without a port, besides those of the loopback address.
   *
   * @default any, but at a loopback address only loopback names
   * @example ['rpc.example.com']
   */
  readonly allowedHosts?: readonly string[] | undefined
  /**
   * Believes `X-Forwarded-Host`, `-Proto` and `-For`: there is one proxy in front, it sets them, and no client gets
   * past it.
   *
   * @default false
   */
  readonly trustProxy?: boolean | undefined
}

/** How much of a header is told. */
const MAX_HEADER_CHARS = 100

/** Why a request is refused; undefined when it is not. */
export type OriginPolicy = (request: UpgradeRequest) => string | undefined

/** @throws TypeError for what is not an origin, or not the name of a host. */
export function createOriginPolicy({ allowedOrigins = [], allowedHosts }: OriginOptions): OriginPolicy {
  const origins =
    allowedOrigins === '*'
      ? undefined
      : new Set(requireList('allowedOrigins', allowedOrigins).map(parseOrigin))
  const hosts = new Set(requireList('allowedHosts', allowedHosts ?? []).map(parseHost))
  const isAllowedHost = (host: string | undefined) => {
    const name = hostName(host)
    return isLoopbackName(name) || hosts.has(name)
  }
  // Nearly all clients ask for a server by the same name.
  let lastHost: { readonly host: string | undefined; readonly isKnown: boolean } | undefined
  return request => {
    const { host, origin } = request
    if (!lastHost || lastHost.host !== host) lastHost = { host, isKnown: isAllowedHost(host) }
    if (!lastHost.isKnown && (allowedHosts || request.local)) {
      return `Host ${quote(host ?? '', MAX_HEADER_CHARS)} is not in allowedHosts`
    }
    if (origin === undefined || !origins || origins.has(origin) || origin === ownOrigin(request))
      return undefined
    return `Origin ${quote(origin, MAX_HEADER_CHARS)} is neither the server's own nor in allowedOrigins`
  }
}

function requireList(option: string, given: readonly string[]): readonly string[] {
  if (Array.isArray(given)) return given
  throw new TypeError(`serve: \`${option}\` takes a list, such as [${describe(given)}]`)
}

/** The origin of a page that this very server, or the proxy in front of it, would serve. */
function ownOrigin({ secure, host }: UpgradeRequest): string | undefined {
  return parseAuthority(`${secure ? 'https' : 'http'}://${host}`)?.origin
}

/** The name in a `Host` header, as browsers write it; empty if there is none. */
const hostName = (host: string | undefined) =>
  parseAuthority(`http://${host}`)?.hostname.replace(/\.$/, '') ?? ''

/** A URL that is a scheme, a host and a port, and nothing else. */
function parseAuthority(text: string): URL | undefined {
  return /^[a-z]+:\/\/[^/?#@*\\\s]+$/i.test(text) && URL.canParse(text) ? new URL(text) : undefined
}

const isLoopbackName = (name: string) => /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(name)

/** `http` and `https` as browsers write them; what other schemes have for an origin is taken as it is. */
function parseOrigin(text: string): string {
  const isWeb = /^https?:/i.test(text)
  const origin = isWeb
    ? parseAuthority(text.replace(/\/$/, ''))?.origin
    : /^[a-z][a-z\d+.-]*:\/\/[^/]*$/.exec(text)?.[0]
  if (origin !== undefined) return origin
  throw new TypeError(
    `allowedOrigins: ${quote(String(text), MAX_HEADER_CHARS)} is not an origin, which is a scheme, a host and a port: "https://app.example.com"`
  )
}

function parseHost(text: string): string {
  if (parseAuthority(`http://${text}`) && !/:\d+$/.test(text)) return hostName(text)
  throw new TypeError(
    `allowedHosts: ${quote(String(text), MAX_HEADER_CHARS)} is not the name of a host, without scheme and port: "rpc.example.com"`
  )
}
