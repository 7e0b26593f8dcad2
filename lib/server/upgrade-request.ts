// The upgrade request of a client, as `authenticate` receives it.
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Web } from '../util/web-types.js'

/** A TLS certificate, as Node represents it. */
export interface PeerCertificate {
  /** Owner of the certificate: `subject.CN` is the common name. */
  readonly subject: { readonly [field: string]: string | string[] | undefined }
  /** Issuer of the certificate. */
  readonly issuer: { readonly [field: string]: string | string[] | undefined }
  /** Alternative names of the owner, as text: `DNS:example.com, IP Address:127.0.0.1`. */
  readonly subjectaltname?: string | undefined
  /** SHA-256 digest of the certificate, in hexadecimal bytes with colons. */
  readonly fingerprint256: string
  /** Serial number, in hexadecimal digits. */
  readonly serialNumber: string
  /** Begin of the validity, as text: `Jan  1 00:00:00 2026 GMT`. */
  readonly valid_from: string
  /** End of the validity, as text. */
  readonly valid_to: string
}

/**
 * The request that opens a socket, or the connection or HTTP request of a gateway's client. All members except `token` are available immediately.
 *
 * @example
 * const authenticate: Authenticate<string> = ({ headers }) => headers['x-user']?.toString()
 */
export class UpgradeRequest {
  /** The `http.IncomingMessage` of Node, for other middleware. */
  readonly message: object
  /** Headers by lower-case name. */
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  /** Path of the URL, without the query. */
  readonly path: string
  /** Whether the client connected by TLS. */
  readonly secure: boolean
  /** Requested host, with the port if the client stated it. */
  readonly host: string | undefined
  /** Origin of the client's page; undefined if the client is not a browser. */
  readonly origin: string | undefined
  /** IP address of the client; with `trustProxy`, the one that the proxy states. */
  readonly address: string | undefined
  /** Whether a trusted proxy states the origin of the request. */
  readonly #isProxied: boolean
  /**
   * Returns the token given to `connect`, which the client sends as the first message on its socket; undefined if it
   * gave none. The call opens the socket: a client rejected later learns it from the end of its session
   * (`unauthorized` or `unavailable`), not by HTTP. Other frames of the client wait. For an HTTP request to a gateway it is
   * the bearer token in `Authorization`; for a client of Pyro, the text of its handshake.
   *
   * @example
   * await serve(Shop, { authenticate: async request => users.byToken(await request.token()) })
   */
  readonly token: () => Promise<string | undefined>

  /** @internal */
  constructor(
    message: IncomingMessage,
    trustProxy: boolean,
    readToken: () => Promise<string | undefined>,
    /** Name of the gateway that the client connects to; undefined for a WebSocket. */
    readonly gateway?: string
  ) {
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
    this.token = readToken
  }

  /**
   * @internal Whether the request came to a loopback address, and not through a trusted proxy. Reading it costs a
   * system call.
   */
  get local(): boolean {
    return !this.#isProxied && isLoopback((this.message as IncomingMessage).socket.localAddress)
  }

  /** Query of the URL. Do not put secrets there: URLs are logged. */
  get query(): Web<'URLSearchParams'> {
    return new URLSearchParams((this.message as IncomingMessage).url!.slice(this.path.length))
  }

  /** Cookies by name. If several have one name, the first counts, which is the most specific. */
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
   * The client's certificate, if an `https` server requests certificates (`requestCert`) and has verified it;
   * otherwise undefined.
   */
  get certificate(): PeerCertificate | undefined {
    const socket = (this.message as IncomingMessage).socket as Partial<TLSSocket>
    return socket.authorized ? (socket.getPeerCertificate?.() as PeerCertificate) : undefined
  }
}

/** The value that the nearest proxy appended. */
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
