// Tests the browser variant of `open-endpoint` as far as Node can run it; spec/outside/browser.spec.ts covers the rest.
import t from 'tap'
import { connectOverEndpoint } from '../../lib/client/connect.js'
import { openEndpoint, openNetworkEndpoint } from '../../lib/client/open-endpoint.browser.js'
import { listen } from '../../lib/server/listen.browser.js'
import { Server } from '../../lib/server/serve.js'
import { settingsOf } from '../../lib/session/options.js'
import { MemoryNetwork } from '../support/memory-network.js'

const service = { add: (a: number, b: number) => a + b }
const settings = { ...settingsOf({}, 'serve'), heartbeat: 0 }
const connect = (to: Parameters<typeof openEndpoint>[0]) =>
  connectOverEndpoint<typeof service>(settings => openEndpoint(to, {}, settings), {})

t.test('a port connects, in a page and in its workers', async t => {
  const { port1, port2 } = new MessageChannel()
  const server = new Server(listen({ endpoint: port2 }, settings), () => service, settings)
  await server.open()
  const conn = connect(port1)
  t.equal(await conn.root.add(1, 2), 3)
  await conn.close()
  await server.close()
  port1.close()
})

t.test('endpoints that a page cannot use throw', async t => {
  t.throws(() => connect({ readable: {}, writable: {} }), /is not an endpoint: in a page pass a Worker/)
  t.throws(
    () => openNetworkEndpoint(new MemoryNetwork(), {}, settings),
    /is not an endpoint: in a page pass a Worker/
  )
  t.throws(
    () => listen({ port: 0 }, settings),
    /undefined is not an endpoint: a page cannot listen on a port/
  )
})
