// Tests the connection of a bus: to a NATS server that does not answer, of another owner, and one that ends for good.
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { connect as connectToNats } from '@nats-io/transport-node'
import t from 'tap'
import { nats } from '../../../lib/adapters/nats.js'
import { connect, serve } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats as skip, startNatsServer } from '../../support/nats-server.js'

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

t.test('a bus itself is no endpoint, and the error names what is', async t => {
  await using bus = nats('127.0.0.1:1')
  const message = /is not an endpoint: pass .*, or bus\.service\(name\) of netref\/nats$/
  t.throws(() => connect(bus as never), { message })
  t.match(await rejectionOf(serve({}, { endpoint: bus as never })), { message })
})

t.test('neither a log nor an error shows the password of a bus', async t => {
  const password = 'secret'
  const servers = [`nats://ada:${password}@127.0.0.1:1`, '127.0.0.1:1']
  await using bus = nats({ servers, user: 'ada', pass: password })
  const endpoint = bus.service('Two')
  const error = (await rejectionOf(serve({}, { endpoint }))) as Error
  t.match(error, {
    code: 'unreachable',
    message: /^cannot reach NATS at nats:\/\/127\.0\.0\.1:1, 127\.0\.0\.1:1: /
  })
  for (const logged of [bus, endpoint, bus.topic('x'), error.message])
    t.notMatch(inspect(logged, { depth: Infinity }), password)
})

t.test('a bus that is closed while it begins to serve rejects it', { skip }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const bus = nats(url)
  await bus.topic<number>('any').publish(1)
  const serving = rejectionOf(serve({}, { endpoint: bus.service('Nothing') }))
  await turn()
  await bus.close()
  t.match(await serving, { name: 'NetrefError', code: 'closed' })
})

t.test('a closed bus leaves nothing on the connection of another owner', { skip }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const connection = await connectToNats({ servers: url })
  const bus = nats(connection)
  const server = await serve({ two: () => 2 }, { endpoint: bus.service('Two') })
  const conn = connect<{ two(): number }>(bus.service('Two'))
  t.equal(await conn.root.two(), 2)
  await bus.close()
  await using other = nats(url)
  for await (const instance of other.find('Two')) t.fail(`${instance.id} is found`)
  t.match(await rejectionOf(connect<{ two(): number }>(other.service('Two')).root.two()), {
    message: /no instance of Two is there/
  })
  await server.close()
  await connection.close()
})

t.test('a connection that is lost for good is reported, and told in errors', { skip }, async t => {
  const natsServer = await startNatsServer(t, { jetstream: false })
  const errors: unknown[] = []
  const bus = nats({ servers: natsServer.url, reconnect: false }, { onError: error => errors.push(error) })
  const server = await serve({}, { endpoint: bus.service('Nothing') })
  const values = await bus.topic('x').subscribe()
  await natsServer.kill()
  const ended = { code: 'connection-lost', message: 'the connection to NATS has ended: it was lost' }
  t.match(await rejectionOf(values.next()), ended)
  t.match(errors, [ended])
  t.match(await rejectionOf(bus.topic('x').publish(1)), {
    code: 'closed',
    message: `${ended.message}; create another bus`
  })
  await server.close()
  await bus.close()
})
