// A connection of a gateway that carries many requests at once, each with headers of its own, as in HTTP/2.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Limits } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import { Emitter, type ReportError } from '../util/emitter.js'
import type { ClosableClient } from './authentication.js'
import type { GatewayClient, GatewayConnection, MultiplexedRequest } from './gateway.js'

/** A request under way. It emits `close` at its end. */
class RequestScope extends EventEmitter implements ClosableClient {
  destroyed = false

  /** The request is over, or its connection has closed. */
  end(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

/**
 * Serves a request within its scope: it calls `serve` with its client, in the span that its headers name.
 *
 * @throws RefusalError if the client of the request is not served
 */
export type ServeInScope = (
  request: MultiplexedRequest,
  scope: ClosableClient,
  serve: (client: GatewayClient) => void | Promise<void>
) => Promise<void>

export class MultiplexedConnection implements GatewayConnection {
  readonly limits: Limits
  readonly exposeStacks: boolean
  readonly #scopes = new Set<RequestScope>()
  readonly #events: Emitter<{ leaving: undefined }>

  constructor(
    socket: Socket,
    { limits, exposeStacks }: Settings,
    readonly report: ReportError,
    private readonly serveInScope: ServeInScope
  ) {
    this.limits = limits
    this.exposeStacks = exposeStacks
    this.#events = new Emitter(['leaving'], report)
    socket.once('close', () => {
      for (const scope of this.#scopes) scope.end()
    })
  }

  async serveRequest(
    request: MultiplexedRequest,
    serve: (client: GatewayClient) => void | Promise<void>
  ): Promise<void> {
    const scope = new RequestScope()
    this.#scopes.add(scope)
    try {
      await this.serveInScope(request, scope, serve)
    } finally {
      this.#scopes.delete(scope)
      scope.end()
    }
  }

  onLeaving(listener: () => void): void {
    this.#events.on('leaving', listener)
  }

  /** The server accepts no further requests. */
  leave(): void {
    this.#events.emit('leaving', undefined)
  }
}
