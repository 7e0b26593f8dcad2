// The request a client opens its socket with, as `authenticate` sees it.
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Web } from '../util/web-types.js'

/** A certificate of TLS, as Node gives it. */
export interface PeerCertificate {
  /** Whose it is: `subject.CN` is the common name. */
  readonly subject: { readonly [field: string]: string | string[] | undefined }
  readonly issuer: { readonly [field: string]: string | string[] | undefined }
  readonly subjectaltname?: string | undefined
  readonly fingerprint256: string
  readonly serialNumber: string
  readonly valid_from: string
  readonly valid_to: string
}

/** What a client says of itself before it has a session. Only `token` is not known at once. */
export class UpgradeRequest {
  /** The request as Node has it: an `http.IncomingMessage`, for middleware of others. */
  readonly message: object
  /** By name, in lower case. */
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  /** The path of the URL, without the query. */
  readonly path: string
  /** Whether the client came by TLS. */
  readonly secure: boolean
  /** The host that was asked for, with the port if it was said. */
  readonly host: string | undefined
  /** The page the client runs in; undefined for what is no browser. */
  readonly origin: string | undefined
  /** The IP address of the client; behind a trusted proxy, the one the proxy says. */
  readonly address: string | undefined
  /** Whether a trusted proxy says where it came from. */
  readonly #isProxied: boolean
  readonly #readToken: () => Promise<string | undefined>

  /** @internal */
  constructor(message: IncomingMessage, trustProxy: boolean, readToken: () => Promise<string | undefined>) {
    const { headers, socket, url } = message
    this.message = message
    this.headers = headers
    this.path = url!.split('?', 1)[0]!
    this.origin = headers.origin
    const [proto, host, client] = trustProxy
      ? ['proto', 'host', 'for'].map(name => lastListItem(headers[`x-forwarded-${name}`]))
      : []
    this.#isProxied = (proto ?? host ?? client) !== undefined
    this.secure = proto === undefined ? 'encrypted' in socket : /^(https|wss)$/i.test(proto)
    this.host = host ?? headers.host
    this.address = client ?? socket.remoteAddress
    this.#readToken = readToken
  }

  /** @internal Whether it came to a loopback address, and not through a trusted proxy. The system has to be asked. */
  get local(): boolean {
    return !this.#isProxied && isLoopback((this.message as IncomingMessage).socket.localAddress)
  }

  /** The query of the URL. It is no place for secrets: it ends up in logs. */
  get query(): Web<'URLSearchParams'> {
    return new URLSearchParams((this.message as IncomingMessage).url!.slice(this.path.length))
  }

  /** The cookies, by name; of several with one name the first, which is the most specific. */
  get cookies(): { readonly [name: string]: string | undefined } {
    const cookies: Record<string, string> = Object.create(null)
    for (const pair of String(this.headers.cookie ?? '').split(';')) {
      const [name = '', value] = pair.split(/=(.*)/s).map(part => part.trim())
      if (value !== undefined && !(name in cookies))
        cookies[name] = decodeCookie(value.replace(/^"(.*)"$/, '$1'))
    }
    return cookies
  }

  /**
   * The client's own certificate, where an `https` server asks for one (`requestCert`) and has found it good; any other
   * is none.
   */
  get certificate(): PeerCertificate | undefined {
    const socket = (this.message as IncomingMessage).socket as Partial<TLSSocket>
    return socket.authorized ? (socket.getPeerCertificate?.() as PeerCertificate) : undefined
  }

  /**
   * The token the client gave to `connect`, which it sends when its socket is open, before all else; undefined if it
   * gave none. To ask for it opens the socket: who is refused after that is told by the session's end (`unauthorized`
   * or `unavailable`) and not by HTTP. Whatever else the client sends waits.
   *
   * @example
   * authenticate: async request => users.byToken(await request.token())
   */
  token(): Promise<string | undefined> {
    return this.#readToken()
  }
}

/** What the nearest proxy wrote: each adds its own at the end. */
const lastListItem = (header: string | string[] | undefined) =>
  header === undefined ? undefined : String(header).split(',').at(-1)!.trim()

const isLoopback = (address = '') => /^(::ffff:)?127\.|^::1$/.test(address)

function decodeCookie(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
