// A gateway: pages and other clients come by WebSocket, and the services are behind it, on NATS. `npm run demo:cluster -- --gateway`
// starts it as `gateway.ts NATS_URL`.
import { type Connection, connect, Service, serve } from 'netref'
import { nats } from 'netref/nats'
import type { LineCounter } from '../line-counter/line-counter.js'
import { main } from '../terminal.js'
import { endWithParent, tellParent } from './parent.js'

const [url = 'nats://localhost:4222'] = process.argv.slice(2)
const bus = nats(url)

/** Its members are the services that clients may use. Each client has sessions of its own with them. */
export class Gateway extends Service {
  readonly #connections = new Map<string, Connection<unknown>>()

  get exposed_LineCounter() {
    return this.#connect<LineCounter>('LineCounter').root
  }

  #connect<T>(name: string): Connection<T> {
    const open = this.#connections.get(name) as Connection<T> | undefined
    if (open && open.state !== 'closed') return open
    const connection = connect<T>(bus.service(name), { renew: true })
    this.#connections.set(name, connection)
    return connection
  }

  override onDisconnect() {
    for (const connection of this.#connections.values()) void connection.close()
  }
}

await main(async () => {
  const server = await serve(Gateway, { port: 0 })
  tellParent(server.url)

  endWithParent(async () => {
    await server.close()
    await bus.close()
  })
})
