// Gateways for specs: lines over TCP that begin with ">", texts over HTTP, and requests that share a connection.
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { Gateway, GatewayOptions, GatewayRequests, MultiplexedRequest } from '../../lib/gateway.js'
import type { Session } from '../../lib/index.js'

/** The root that both gateways call. */
interface LineService {
  exposed_line(line: string): unknown
}
const lineOf = (session: Session, line: string) => (session as Session<LineService>).root.line(line)

/** `>text` calls `line(text)`, and is answered by a line. */
export const lines = (options: GatewayOptions = {}): Gateway => ({
  ...options,
  name: 'lines',
  detect: bytes => (bytes.length < 2 ? undefined : bytes[0] === 0x3e && bytes[1] !== 0x3e),
  async handleSocket(socket, client) {
    const session = await client.openSession()
    session.on('closed', () => socket.end())
    for await (const line of createInterface(socket)) {
      const answer = await Promise.resolve(lineOf(session, line.slice(1))).catch(error => String(error))
      socket.write(`${answer}\n`)
    }
  }
})

/** The same, for connections that begin with `<`, and with a line that is a token: none if it is empty. */
export const linesWithToken = (): Gateway => ({
  name: 'lines-with-token',
  detect: ([first]) => first === 0x3c,
  passesTokens: true,
  async handleSocket(socket, client) {
    let session: Session | undefined
    for await (const line of createInterface(socket)) {
      if (session) socket.write(`${await lineOf(session, line)}\n`)
      else session = await client.openSession(line.slice(1) || undefined)
    }
  }
})

/** A body of the type `application/x-line` calls `line(body)`. */
export const requests = (
  filter: GatewayRequests = { contentTypes: ['application/x-line'] },
  options: GatewayOptions = {}
): Gateway => ({
  ...options,
  name: 'requests',
  requests: filter,
  async handleRequest(request, response, client) {
    const line = await text(request)
    const session = await client.openSession()
    response.end(String(await lineOf(session, line)))
  }
})

/** A request of `multiplexed`, which is a line of JSON. */
export interface LineRequest extends Partial<MultiplexedRequest> {
  readonly line: string
}

/** Each line is a request with headers of its own. It is answered by a line when its call settles. */
export const multiplexed = (options: GatewayOptions = {}): Gateway => ({
  ...options,
  name: 'multiplexed',
  detect: ([first]) => first === 0x7b,
  async handleConnection(socket, connection) {
    let pending = 0
    let leaves = false
    const finish = () => leaves && pending === 0 && socket.end()
    connection.onLeaving(() => {
      leaves = true
      finish()
    })
    for await (const text of createInterface(socket)) {
      const { line, path = '/', headers = {} }: LineRequest = JSON.parse(text)
      pending++
      connection
        .serveRequest({ path, headers: { host: 'localhost', ...headers } }, async client => {
          const session = await client.openSession()
          socket.write(`${await lineOf(session, line)}\n`)
        })
        .catch(error => socket.write(`${error}\n`))
        .finally(() => {
          pending--
          finish()
        })
    }
  }
})

/** A client of `lines`. */
export class LineClient {
  readonly closed: Promise<unknown>
  readonly #answers: AsyncIterator<string>

  constructor(readonly socket: Socket) {
    socket.on('error', () => {})
    this.closed = once(socket, 'close')
    this.#answers = createInterface(socket)[Symbol.asyncIterator]()
  }

  static to(port: number): LineClient {
    return new LineClient(net.connect(port, '127.0.0.1'))
  }

  /** Sends a request of `multiplexed`. */
  request(line: string, headers: MultiplexedRequest['headers'] = {}, path?: string): void {
    this.socket.write(`${JSON.stringify({ line, headers, path } satisfies LineRequest)}\n`)
  }

  ask(line: string): Promise<string | undefined> {
    this.socket.write(`>${line}\n`)
    return this.answer()
  }

  /** The next line of the server; undefined after the last. */
  async answer(): Promise<string | undefined> {
    const { value } = await this.#answers.next()
    return value
  }
}

/** Posts a line to `requests`. */
export async function post(
  url: string,
  line: string,
  headers: Record<string, string> = {}
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(url, {
    method: 'POST',
    body: new Blob([line]),
    headers: { 'content-type': 'application/x-line', ...headers }
  })
  return { status: response.status, text: await response.text(), headers: response.headers }
}
