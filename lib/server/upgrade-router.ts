// Routes the upgrade requests of an HTTP server to the handler of their path.
//
// While a listener for `upgrade` exists, Node passes it every request with an `Upgrade` header. The router returns a
// request that offers another protocol (`h2c`, by Java and curl) to the server if no other listener may want it.
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { rejectUpgrade } from './authentication.js'

/** Handles the upgrade requests of a path. */
export interface UpgradeHandler {
  handleUpgrade(message: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** Newer versions of Node ask which requests are upgrades; older ones treat all as upgrades. */
interface ServerWithUpgradeCallback extends Server {
  shouldUpgradeCallback?: (this: Server, message: IncomingMessage) => boolean
}

const NOT_FOUND_STATUS = 404
const routers = new WeakMap<Server, UpgradeRouter>()

/** The router of one server. */
class UpgradeRouter {
  /** Handlers by path; the one of the empty path takes all other paths. */
  readonly handlers = new Map<string, UpgradeHandler>()
  readonly #shouldUpgrade: ServerWithUpgradeCallback['shouldUpgradeCallback']

  constructor(private readonly server: ServerWithUpgradeCallback) {
    const shouldUpgrade = server.shouldUpgradeCallback
    this.#shouldUpgrade = shouldUpgrade
    server.on('upgrade', this.#route)
    /* c8 ignore next 4: Node 20 and 22 do not ask. */
    if (shouldUpgrade) {
      server.shouldUpgradeCallback = message =>
        shouldUpgrade.call(server, message) && this.#shouldHandle(message)
    }
  }

  /** Restores the server's own behaviour. */
  remove(): void {
    this.server.off('upgrade', this.#route)
    /* c8 ignore next: Node 20 and 22 do not ask. */
    if (this.#shouldUpgrade) this.server.shouldUpgradeCallback = this.#shouldUpgrade
  }

  /** Whether the request is for this router, or may be for another listener. */
  #shouldHandle({ headers }: IncomingMessage): boolean {
    return headers.upgrade!.toLowerCase() === 'websocket' || this.server.listenerCount('upgrade') > 1
  }

  readonly #route = (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node removes its own error listener at the upgrade: without this one a reset ends the process.
    socket.on('error', noop)
    if (!this.#shouldHandle(message)) return this.#returnToServer(message, socket, head)
    if (message.headers.upgrade!.toLowerCase() !== 'websocket') return
    const target = this.handlers.get(message.url!.split('?', 1)[0]!) ?? this.handlers.get('')
    if (target) target.handleUpgrade(message, socket, head)
    else if (this.server.listenerCount('upgrade') === 1) rejectUpgrade(socket, NOT_FOUND_STATUS)
  }

  /**
   * Lets the server parse the request again without an `upgrade` listener, as an ordinary request. The server's own
   * rules then apply to its body and to later requests on the connection.
   */
  #returnToServer(
    { method, url, httpVersion, rawHeaders }: IncomingMessage,
    socket: Duplex,
    head: Buffer
  ): void {
    const { server } = this
    const lines = [`${method} ${url} HTTP/${httpVersion}`]
    for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    server.off('upgrade', this.#route)
    try {
      server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
      socket.off('error', noop)
      // Reads synchronously, before the listener is added again.
      socket.read()
    } finally {
      if (routers.get(server) === this) server.on('upgrade', this.#route)
    }
  }
}

const noop = () => {}

/** @throws TypeError if the path has a handler already */
export function addUpgradeHandler(server: Server, path: string, handler: UpgradeHandler): void {
  const router = routers.get(server) ?? new UpgradeRouter(server)
  routers.set(server, router)
  if (router.handlers.has(path)) {
    throw new TypeError(
      `serve: ${path ? `path "${path}"` : 'any path'} of that server is already in use; choose another path`
    )
  }
  router.handlers.set(path, handler)
}

export function removeUpgradeHandler(server: Server, path: string): void {
  const router = routers.get(server)!
  router.handlers.delete(path)
  if (router.handlers.size > 0) return
  routers.delete(server)
  router.remove()
}
