// What a page has in the place of `endpoints.ts`, as far as Node can run it: the rest is in spec/outside/browser.spec.ts.
import t from 'tap'
import { WebSocket } from 'ws'
import { connectOverEndpoint } from '../../lib/client/connect.js'
import { open } from '../../lib/client/open-transport.browser.js'
import { type ConnectOptions, serve } from '../../lib/index.js'
import { listen } from '../../lib/server/listen.browser.js'
import { Server } from '../../lib/server/serve.js'
import { settingsOf } from '../../lib/session/options.js'

const service = { add: (a: number, b: number) => a + b }
const settings = { ...settingsOf({}), heartbeat: 0 }
const connect = (to: Parameters<typeof open>[0], options: ConnectOptions = {}) =>
  connectOverEndpoint<typeof service>(made => open(to, options, made), options)

t.test('an address: by the WebSocket of the page, and none of the options of Node', async t => {
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => Reflect.deleteProperty(globalThis, 'WebSocket'))
  await using server = await serve(service, { port: 0 })
  await using conn = connect(server.url.replace('ws:', 'http:'))
  t.equal(await conn.root.add(1, 2), 3)
  for (const name of ['headers', 'handshakeTimeout']) {
    t.throws(() => connect(server.url, { [name]: 1 }), {
      name: 'TypeError',
      message: `connect: ${name} is not a page's to say`
    })
  }
})

t.test('a port, in a page and in its workers', async t => {
  const { port1, port2 } = new MessageChannel()
  const server = new Server(listen({ endpoint: port2 }, settings), () => service, settings)
  await server.open()
  const conn = connect(port1)
  t.equal(await conn.root.add(1, 2), 3)
  await conn.close()
  await server.close()
  port1.close()
})

t.test('what a page cannot do', async t => {
  t.throws(() => connect({ readable: {}, writable: {} }), /is no endpoint: here it is a Worker/)
  t.throws(() => listen({ port: 0 }, settings), /undefined is no endpoint: a page cannot listen at a port/)
})
