// Tests the connection of a bus to a NATS server that does not answer.
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import t from 'tap'
import { nats } from '../../../lib/adapters/nats.js'
import { connect, serve } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'

t.test('a bus is closed at once while NATS does not answer', async t => {
  const silent = net.createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const sockets = new Set<net.Socket>()
  silent.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const bus = nats(`nats://127.0.0.1:${(silent.address() as AddressInfo).port}`)
  const serving = rejectionOf(serve({}, { endpoint: bus.service('Silent') }))
  const conn = connect(bus.service('Silent'))
  await waitUntil(() => sockets.size === 1)
  await bus.close()
  t.match(await serving, { code: 'closed', message: /the bus was closed before NATS was reached/ })
  t.match(await conn.closed, { code: 'closed' })
  t.match(await rejectionOf(serve({}, { endpoint: bus.service('Silent') })), { code: 'closed' })
  await bus.close()
  for (const socket of sockets) socket.destroy()
  silent.close()
  await waitUntil(() => sockets.size === 0)
})
