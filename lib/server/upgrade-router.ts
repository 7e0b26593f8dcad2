// Requests to upgrade that come to an http server, brought to what serves at their path.
//
// Node takes every request with an `Upgrade` header out of HTTP while somebody listens for `upgrade`. One that offers
// another protocol (`h2c`, by Java and curl) is given back to the server where nobody else could want it.
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { rejectUpgrade } from './authentication.js'

/** What serves at a path. */
export interface UpgradeHandler {
  handleUpgrade(message: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** Newer Nodes ask which requests are upgrades; on older ones all are. */
interface ServerWithUpgradeCallback extends Server {
  shouldUpgradeCallback?: (this: Server, message: IncomingMessage) => boolean
}

const NOT_FOUND_STATUS = 404
const routers = new WeakMap<Server, UpgradeRouter>()

/** Those of one server. */
class UpgradeRouter {
  /** By path; at the empty one comes in who asks for no other. */
  readonly handlers = new Map<string, UpgradeHandler>()
  readonly #shouldUpgrade: ServerWithUpgradeCallback['shouldUpgradeCallback']

  constructor(private readonly server: ServerWithUpgradeCallback) {
    const shouldUpgrade = server.shouldUpgradeCallback
    this.#shouldUpgrade = shouldUpgrade
    server.on('upgrade', this.#route)
    /* c8 ignore next 3: Node 20 and 22 do not ask. */
    if (shouldUpgrade) {
      server.shouldUpgradeCallback = message =>
        shouldUpgrade.call(server, message) && this.#shouldHandle(message)
    }
  }

  /** Lets the server be as it was. */
  remove(): void {
    this.server.off('upgrade', this.#route)
    /* c8 ignore next: Node 20 and 22 do not ask. */
    if (this.#shouldUpgrade) this.server.shouldUpgradeCallback = this.#shouldUpgrade
  }

  /** Whether the request is for us, or may be for another's handler. */
  #shouldHandle({ headers }: IncomingMessage): boolean {
    return headers.upgrade!.toLowerCase() === 'websocket' || this.server.listenerCount('upgrade') > 1
  }

  readonly #route = (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node removes its own error listener with the upgrade: without this one a reset ends the process.
    socket.on('error', noop)
    if (!this.#shouldHandle(message)) return this.#returnToServer(message, socket, head)
    if (message.headers.upgrade!.toLowerCase() !== 'websocket') return
    const target = this.handlers.get(message.url!.split('?', 1)[0]!) ?? this.handlers.get('')
    if (target) target.handleUpgrade(message, socket, head)
    else if (this.server.listenerCount('upgrade') === 1) rejectUpgrade(socket, NOT_FOUND_STATUS)
  }

  /**
   * Has the server read the request again while nobody listens for `upgrade`: then it is one like any other, and its body
   * and what else the connection brings are read by the server's own rules.
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
      // It is read at once, and not in a later tick.
      socket.read()
    } finally {
      if (routers.get(server) === this) server.on('upgrade', this.#route)
    }
  }
}

const noop = () => {}

/** @throws TypeError when something serves there already */
export function addUpgradeHandler(server: Server, path: string, handler: UpgradeHandler): void {
  const router = routers.get(server) ?? new UpgradeRouter(server)
  routers.set(server, router)
  if (router.handlers.has(path)) {
    throw new TypeError(`serve: ${path ? `path "${path}"` : 'any path'} of that server is served already`)
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
