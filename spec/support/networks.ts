// Networks on which specs serve and find services by name: sockets, and NATS.
import { type Bus, nats } from '../../lib/adapters/nats.js'
import {
  type Connection,
  type ConnectOptions,
  connect,
  type ServeOptions,
  type Server,
  type ServiceSource,
  serve
} from '../../lib/index.js'

/** A program on a network. On NATS, each has a connection of its own. */
export interface Party extends AsyncDisposable {
  /** Serves under a name. The name stays that of the last server. */
  serve<T extends object>(name: string, service: ServiceSource<T>, options?: ServeOptions): Promise<Server>
  connect<T>(name: string, options?: ConnectOptions): Connection<T>
}

/** Programs that find each other's services by name. */
export interface Network {
  readonly kind: 'sockets' | 'NATS'
  /** What a program in another process needs to be a party: see `joinNetwork`. */
  readonly address: string
  party(): Party
  /** Tells where a service is that another process serves. */
  found(name: string, url: string): void
}

/** Sockets on the loopback interface. */
export function overSockets(urls = new Map<string, string>()): Network {
  const party: Party = {
    async serve(name, service, options) {
      const server = await serve(service, { port: 0, ...options })
      urls.set(name, server.url)
      return server
    },
    connect: (name, options) => connect(urls.get(name)!, options),
    async [Symbol.asyncDispose]() {}
  }
  return {
    kind: 'sockets',
    get address() {
      return JSON.stringify([...urls])
    },
    party: () => party,
    found: (name, url) => void urls.set(name, url)
  }
}

/** A nats-server. */
export const overNats = (url: string): Network => ({
  kind: 'NATS',
  address: url,
  party: () => partyOf(nats(url)),
  found() {}
})

const partyOf = (bus: Bus): Party => ({
  serve: (name, service, options) => serve(service, { ...options, endpoint: bus.service(name) }),
  connect: (name, options) => connect(bus.service(name), options),
  [Symbol.asyncDispose]: () => bus.close()
})

/** The network with an address, in another process. */
export const joinNetwork = (address: string): Network =>
  address.startsWith('nats:') ? overNats(address) : overSockets(new Map(JSON.parse(address)))
