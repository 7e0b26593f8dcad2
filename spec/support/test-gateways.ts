// Two gateways for specs: lines over TCP that begin with ">", and texts over HTTP.
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { Gateway, GatewayOptions, GatewayRequests } from '../../lib/gateway.js'
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
