// Decides which web pages may connect. A browser lets any page open a WebSocket to any server, with the user's
// cookies, and states the page only in `Origin`. The server must therefore check `Origin`, and `Host`, which exposes
// DNS rebinding.
import { describeValue, quote } from '../util/describe.js'
import type { UpgradeRequest } from './upgrade-request.js'

/** Which pages and host names may connect to a server. */
export interface OriginOptions {
  /**
   * Origins whose pages may connect, besides the server's own. `'*'` accepts every page; only it accepts `Origin:
   * null` (a file, a sandboxed iframe). Clients that are no browsers send no origin and are accepted.
   *
   * @default [] only pages from the same scheme, host and port
   * @example
   * await serve(Shop, { allowedOrigins: ['https://app.example.com', 'http://localhost:5173'] })
   */
  readonly allowedOrigins?: readonly string[] | '*' | undefined
  /**
   * Host names that clients may use, without a port, besides those of the loopback address.
   *
   * @default any, but at a loopback address only loopback names
   * @example
   * await serve(Shop, { allowedHosts: ['rpc.example.com'] })
   */
  readonly allowedHosts?: readonly string[] | undefined
  /**
   * Trusts `X-Forwarded-Host`, `-Proto` and `-For`. Set it only if exactly one proxy sets these headers and no client
   * can bypass it.
   *
   * @default false
   */
  readonly trustProxy?: boolean | undefined
}

/** Characters of a header that error texts show. */
const MAX_HEADER_CHARS = 100

/** Returns why a request is refused, or undefined if it is not. */
export type OriginPolicy = (request: UpgradeRequest) => string | undefined

/** @throws TypeError for an invalid origin or host name */
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
  // Most clients use the same host name.
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
  throw new TypeError(`serve: \`${option}\` takes a list, such as [${describeValue(given)}]`)
}

/** The origin of a page that this server, or the proxy in front of it, serves. */
function ownOrigin({ secure, host }: UpgradeRequest): string | undefined {
  return parseAuthority(`${secure ? 'https' : 'http'}://${host}`)?.origin
}

/** The name in a `Host` header, as browsers normalize it; empty if there is none. */
const hostName = (host: string | undefined) =>
  parseAuthority(`http://${host}`)?.hostname.replace(/\.$/, '') ?? ''

/** A URL of a scheme, a host and a port only; undefined for any other text. */
function parseAuthority(text: string): URL | undefined {
  return /^[a-z]+:\/\/[^/?#@*\\\s]+$/i.test(text) && URL.canParse(text) ? new URL(text) : undefined
}

const isLoopbackName = (name: string) => /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(name)

/** Normalizes `http` and `https` as browsers do; origins of other schemes stay as they are. */
function parseOrigin(text: string): string {
  const isWeb = /^https?:/i.test(text)
  const origin = isWeb
    ? parseAuthority(text.replace(/\/$/, ''))?.origin
    : /^[a-z][a-z\d+.-]*:\/\/[^/]*$/.exec(text)?.[0]
  if (origin !== undefined) return origin
  throw new TypeError(
    `serve: allowedOrigins: ${quote(String(text), MAX_HEADER_CHARS)} is not an origin; use a scheme, a host and a port: "https://app.example.com"`
  )
}

function parseHost(text: string): string {
  if (parseAuthority(`http://${text}`) && !/:\d+$/.test(text)) return hostName(text)
  throw new TypeError(
    `serve: allowedHosts: ${quote(String(text), MAX_HEADER_CHARS)} is not a host name; omit scheme and port: "rpc.example.com"`
  )
}
