// Sends HTTP POST requests to a server of another system.

import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Limits } from '../../protocol/limits.js'
import { describeValue } from '../../util/describe.js'
import { toPrintable } from '../../util/printable.js'
import { readBody } from './http.js'

/** Concurrent requests of one client: more than one, so that a slow call does not delay all others. */
const MAX_SOCKETS = 6
const MAX_QUOTED_CHARACTERS = 200

/** A response. */
export interface HttpResponse {
  readonly contentType: string | undefined
  readonly body: Buffer
}

/** The server has answered with a status of failure. */
export class HttpStatusError extends Error {
  override name = 'HttpStatusError'
  readonly code = 'http-status'

  constructor(
    readonly status: number,
    readonly body: Buffer,
    message: string
  ) {
    super(message)
  }
}

/** An HTTP client of one address. It keeps connections open between requests. */
export class HttpClient {
  readonly #url: URL
  readonly #agent: http.Agent
  readonly #pending = new Set<http.ClientRequest>()

  /**
   * @param url may have a name and a password, for Basic authentication
   * @param headers of the requests
   */
  constructor(
    url: URL,
    private readonly headers: Readonly<Record<string, string>>,
    private readonly limits: Pick<Limits, 'jsonBytes' | 'helloMs'>
  ) {
    this.#url = url
    const { Agent } = url.protocol === 'https:' ? https : http
    this.#agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  }

  /**
   * @returns the response, if its status is one of success
   * @throws HttpStatusError for other statuses, and an Error if there is no whole response within the limits
   */
  async post(text: string, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const body = Buffer.from(text)
    const response = await this.#send(body, signal)
    const { statusCode, statusMessage, headers } = response
    const content = await readBody(response, this.limits).catch(cause => {
      response.destroy()
      throw new Error(`${this.#url.host}: ${cause.message}`, { cause })
    })
    if (statusCode! >= 200 && statusCode! < 300)
      return { contentType: headers['content-type'], body: content }
    const start = toPrintable(content.toString().trim(), MAX_QUOTED_CHARACTERS)
    const message = `${this.#url.host} responded with the HTTP status ${statusCode} ${statusMessage}: ${start}`
    throw new HttpStatusError(statusCode!, content, message)
  }

  #send(body: Buffer, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const { request: send } = this.#url.protocol === 'https:' ? https : http
    return new Promise((resolve, reject) => {
      const request = send(this.#url, {
        method: 'POST',
        agent: this.#agent,
        headers: { ...this.headers, 'content-length': body.length },
        ...(signal && { signal })
      })
      this.#pending.add(request)
      request.once('close', () => this.#pending.delete(request))
      request.on('error', (cause: NodeJS.ErrnoException) => {
        // An error of several addresses has a code, but no message.
        const message = `${this.#url.host} did not respond: ${cause.code}`
        reject(Object.assign(new Error(message, { cause }), { code: cause.code }))
      })
      request.once('response', resolve).end(body)
    })
  }

  /** Breaks off all requests. */
  close(): void {
    for (const request of this.#pending) request.destroy()
    this.#agent.destroy()
  }
}

/** @throws TypeError if it is not a URL of HTTP. `call` is the function that takes it, for error texts */
export function httpUrl(url: string | URL, call: string): URL {
  const parsed = URL.canParse(String(url)) ? new URL(url) : undefined
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed
  throw new TypeError(
    `${call}: ${describeValue(url)} is not an address; pass one such as "http://localhost:8000"`
  )
}
