// Cancels the HTTP requests of clients that ask for it by a second request, as protocol versions up to 2025-11-25 do.

import { randomUUID } from 'node:crypto'

/** What is read of a message. */
interface Message {
  readonly method?: unknown
  readonly id?: unknown
  readonly params?: { readonly requestId?: unknown; readonly _meta?: unknown }
}

/**
 * The requests that are being served. A client gets a random name when it initializes, and repeats it in each request, so
 * that none can cancel the requests of another. Nothing else is known of it.
 */
export class Exchanges {
  readonly #open = new Map<string, AbortController>()

  /**
   * Adds a request until its signal aborts. If it asks for a cancellation, it aborts that request.
   *
   * @param client the name that it sends
   * @param abort aborts at the end of the request
   * @returns a name for a client that initializes
   */
  begin(message: unknown, client: string | undefined, abort: AbortController): string | undefined {
    const { method, id, params } = Object(message) as Message
    if (method === 'initialize') return randomUUID()
    if (client === undefined) return undefined
    if (method === 'notifications/cancelled') this.#open.get(keyOf(client, Object(params).requestId))?.abort()
    if (method !== 'tools/call' || abort.signal.aborted) return undefined
    const key = keyOf(client, id)
    this.#open.set(key, abort)
    abort.signal.addEventListener('abort', () => {
      if (this.#open.get(key) === abort) this.#open.delete(key)
    })
    return undefined
  }
}

const keyOf = (client: string, id: unknown): string => `${client} ${JSON.stringify(id)}`
