// Tests the browser variant of `open-transport` as far as Node can run it; spec/outside/browser.spec.ts covers the
// rest.
import t from 'tap'
import { WebSocket } from 'ws'
import { connectOverEndpoint } from '../../lib/client/connect.js'
import { openTransport } from '../../lib/client/open-transport.browser.js'
import { type ConnectOptions, serve } from '../../lib/index.js'
import { listen } from '../../lib/server/listen.browser.js'
import { Server } from '../../lib/server/serve.js'
import { settingsOf } from '../../lib/session/options.js'

const service = { add: (a: number, b: number) => a + b }
const settings = { ...settingsOf({}), heartbeat: 0 }
const connect = (to: Parameters<typeof openTransport>[0], options: ConnectOptions = {}) =>
  connectOverEndpoint<typeof service>(made => openTransport(to, options, made), options)

t.test('an address uses the page’s WebSocket, without options of Node', async t => {
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => Reflect.deleteProperty(globalThis, 'WebSocket'))
  await using server = await serve(service, { port: 0 })
  await using conn = connect(server.url.replace('ws:', 'http:'))
  t.equal(await conn.root.add(1, 2), 3)
  for (const name of ['headers', 'handshakeTimeout']) {
    t.throws(() => connect(server.url, { [name]: 1 }), {
      name: 'TypeError',
      message: `connect: ${name} cannot be set in a browser; remove it`
    })
  }
})

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
    () => listen({ port: 0 }, settings),
    /undefined is not an endpoint: a page cannot listen on a port/
  )
})
