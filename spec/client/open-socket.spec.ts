// Tests the browser variant of `open-socket` as far as Node can run it; spec/outside/browser.spec.ts covers the rest.
import t from 'tap'
import { WebSocket } from 'ws'
import { connectOverEndpoint } from '../../lib/client/connect.js'
import { openSocket } from '../../lib/client/open-socket.browser.js'
import { type ConnectOptions, serve } from '../../lib/index.js'

const service = { add: (a: number, b: number) => a + b }
const connect = (address: string, options: ConnectOptions = {}) =>
  connectOverEndpoint<typeof service>(settings => openSocket(address, options, settings), options)

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
