// Calls a JSON-RPC server by HTTP requests.

import { NetrefError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { HttpClient, HttpStatusError } from '../support/http-client.js'
import { type Channel, callText, errorOf, type OutgoingCall, resultOf } from './channel.js'
import type { JsonRpcError } from './remote-error.js'
import { parseText } from './requests.js'

/** One call, one request: all have the same id. */
const ID = 1

export class HttpChannel implements Channel {
  readonly #client: HttpClient

  /** @param url may have a name and a password, for Basic authentication */
  constructor(
    url: URL,
    headers: Readonly<Record<string, string>>,
    private readonly limits: Limits
  ) {
    this.#client = new HttpClient(url, { 'content-type': 'application/json', ...headers }, limits)
  }

  async send(call: OutgoingCall): Promise<unknown> {
    try {
      const { body } = await this.#client.post(callText(call, ID), call.signal)
      return call.isNotification ? undefined : resultOf(this.#parse(body))
    } catch (error) {
      // Some servers answer errors of JSON-RPC with an HTTP status of failure.
      if (error instanceof HttpStatusError) throw this.#answerIn(error) ?? error
      throw error
    }
  }

  close(): void {
    this.#client.close()
  }

  #parse(body: Buffer): unknown {
    try {
      return parseText(body, this.limits)
    } catch (error) {
      throw new NetrefError('protocol', `the answer is not JSON: ${(error as Error).message}`)
    }
  }

  /** The error of JSON-RPC that a response has beside its status. */
  #answerIn({ body }: HttpStatusError): JsonRpcError | undefined {
    try {
      return errorOf(parseText(body, this.limits))
    } catch {
      return undefined
    }
  }
}
