// Routes requests for certain paths of a user's HTTP server to gateways, and all others to the server's own listeners.

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'

/** Handles the requests for a path. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

const routers = new WeakMap<Server, RequestRouter>()

class RequestRouter {
  readonly handlers = new Map<string, RequestHandler>()
  readonly #others: RequestListener[]

  constructor(private readonly server: Server) {
    this.#others = server.listeners('request') as RequestListener[]
    server.removeAllListeners('request')
    server.on('request', this.#route)
  }

  /** Restores the listeners of the server. */
  remove(): void {
    this.server.off('request', this.#route)
    for (const listener of this.#others) this.server.on('request', listener)
  }

  readonly #route: RequestListener = (request, response) => {
    const handler = this.handlers.get(request.url!.split('?', 1)[0]!)
    if (handler) return handler(request, response)
    for (const listener of this.#others) listener.call(this.server, request, response)
  }
}

/**
 * Adds a handler for a path. Listeners that the server has at that time get the requests for other paths.
 *
 * @returns a function that removes the handler
 * @throws TypeError if the path has a handler already
 */
export function addRequestHandler(server: Server, path: string, handler: RequestHandler): () => void {
  const router = routers.get(server) ?? new RequestRouter(server)
  routers.set(server, router)
  if (router.handlers.has(path))
    throw new TypeError(
      `serve: requests for "${path}" of that server already go to a gateway; choose another path`
    )
  router.handlers.set(path, handler)
  return () => {
    router.handlers.delete(path)
    if (router.handlers.size > 0) return
    routers.delete(server)
    router.remove()
  }
}
