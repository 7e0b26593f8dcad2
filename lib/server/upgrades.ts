// Requests to upgrade that come to an http server, brought to what serves at their path.
//
// Node takes every request with an `Upgrade` header out of HTTP while somebody listens for `upgrade`. One that offers
// another protocol (`h2c`, by Java and curl) is given back to the server where nobody else could want it.
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { refuse } from './authentication.js'

/** What serves at a path. */
export interface UpgradeTarget {
  receive(message: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** Newer Nodes ask which requests are upgrades; on older ones all are. */
interface AskingServer extends Server {
  shouldUpgradeCallback?: (this: Server, message: IncomingMessage) => boolean
}

const NOT_FOUND = 404
const known = new WeakMap<Server, Upgrades>()

/** Those of one server. */
class Upgrades {
  /** By path; at the empty one comes in who asks for no other. */
  readonly targets = new Map<string, UpgradeTarget>()
  readonly #asked: AskingServer['shouldUpgradeCallback']

  constructor(private readonly server: AskingServer) {
    const asked = server.shouldUpgradeCallback
    this.#asked = asked
    server.on('upgrade', this.#direct)
    /* c8 ignore next 3: Node 20 and 22 do not ask. */
    if (asked) {
      server.shouldUpgradeCallback = message => asked.call(server, message) && this.#takes(message)
    }
  }

  /** Lets the server be as it was. */
  remove(): void {
    this.server.off('upgrade', this.#direct)
    /* c8 ignore next: Node 20 and 22 do not ask. */
    if (this.#asked) this.server.shouldUpgradeCallback = this.#asked
  }

  /** Whether the request is for us, or may be for another's handler. */
  #takes({ headers }: IncomingMessage): boolean {
    return headers.upgrade!.toLowerCase() === 'websocket' || this.server.listenerCount('upgrade') > 1
  }

  readonly #direct = (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node removes its own error listener with the upgrade: without this one a reset ends the process.
    socket.on('error', ignore)
    if (!this.#takes(message)) return this.#giveBack(message, socket, head)
    if (message.headers.upgrade!.toLowerCase() !== 'websocket') return
    const target = this.targets.get(message.url!.split('?', 1)[0]!) ?? this.targets.get('')
    if (target) target.receive(message, socket, head)
    else if (this.server.listenerCount('upgrade') === 1) refuse(socket, NOT_FOUND)
  }

  /**
   * Has the server read the request again while nobody listens for `upgrade`: then it is one like any other, and its body
   * and what else the connection brings are read by the server's own rules.
   */
  #giveBack({ method, url, httpVersion, rawHeaders }: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { server } = this
    const lines = [`${method} ${url} HTTP/${httpVersion}`]
    for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    server.off('upgrade', this.#direct)
    try {
      server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
      socket.off('error', ignore)
      // It is read at once, and not in a later tick.
      socket.read()
    } finally {
      if (known.get(server) === this) server.on('upgrade', this.#direct)
    }
  }
}

const ignore = () => {}

/** @throws TypeError when something serves there already */
export function addTarget(server: Server, path: string, target: UpgradeTarget): void {
  const upgrades = known.get(server) ?? new Upgrades(server)
  known.set(server, upgrades)
  if (upgrades.targets.has(path)) {
    throw new TypeError(`serve: ${path ? `path "${path}"` : 'any path'} of that server is served already`)
  }
  upgrades.targets.set(path, target)
}

export function removeTarget(server: Server, path: string): void {
  const upgrades = known.get(server)!
  upgrades.targets.delete(path)
  if (upgrades.targets.size > 0) return
  known.delete(server)
  upgrades.remove()
}
