// Calls a JSON-RPC server by HTTP requests.

import { LimitError, NetrefError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { type Channel, callText, type OutgoingCall, resultOf } from './channel.js'
import { parseText } from './requests.js'

/** One call, one request: all have the same id. */
const ID = 1

export class HttpChannel implements Channel {
  readonly #closing = new AbortController()
  readonly #url: string
  readonly #headers: Record<string, string>

  /** @param url may have a user and a password, which are sent as Basic authentication */
  constructor(
    url: URL,
    headers: Readonly<Record<string, string>>,
    private readonly limits: Pick<Limits, 'jsonBytes' | 'depth'>
  ) {
    const { username, password } = url
    const address = new URL(url)
    address.username = address.password = ''
    this.#url = address.href
    const credentials = [username, password].map(decodeURIComponent).join(':')
    this.#headers = {
      accept: 'application/json',
      'content-type': 'application/json',
      ...(username && { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
      ...headers
    }
  }

  async send(call: OutgoingCall): Promise<unknown> {
    const signals = [this.#closing.signal, ...(call.signal ? [call.signal] : [])]
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: this.#headers,
      body: callText(call, ID),
      signal: AbortSignal.any(signals)
    })
    const body = await this.#read(response)
    if (call.isNotification && response.ok) return undefined
    return resultOf(this.#parse(body, response))
  }

  close(): void {
    this.#closing.abort()
  }

  async #read({ body }: Response): Promise<Buffer> {
    const { jsonBytes } = this.limits
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of body ?? []) {
      length += chunk.length
      if (length > jsonBytes)
        throw new LimitError('limit', `the answer is longer than ${jsonBytes} bytes (limits.jsonBytes)`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  /** Some servers answer errors of JSON-RPC with an HTTP status of failure: the body counts if it is an answer. */
  #parse(body: Buffer, { ok, status, statusText }: Response): unknown {
    try {
      const answer = parseText(body, this.limits)
      if (ok || (typeof answer === 'object' && answer !== null && 'error' in answer)) return answer
    } catch (error) {
      if (ok) throw new NetrefError('protocol', `the answer is not JSON: ${(error as Error).message}`)
    }
    throw new NetrefError('unavailable', `the server answers with the HTTP status ${status} ${statusText}`)
  }
}
