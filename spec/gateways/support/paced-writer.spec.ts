// Specs of writing at the pace of the client.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { PacedWriter } from '../../../lib/gateways/support/paced-writer.js'
import { waitUntil } from '../../support/helpers.js'

/** Both ends of a connection, and a writer on the first. */
async function join(t: Test, limits: { bufferedBytes?: number; pauseMs?: number } = {}) {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true
  })
  const [socket] = (await once(server, 'connection')) as [Socket]
  for (const end of [socket, client]) end.on('error', () => {})
  t.teardown(() => {
    client.destroy()
    socket.destroy()
    server.close()
  })
  const writer = new PacedWriter(socket, { bufferedBytes: 1 << 20, pauseMs: 30_000, ...limits })
  return { socket, client, writer }
}

const LARGE = Buffer.alloc(8 << 20)

t.test('what is written in one tick leaves at once', async t => {
  const { socket, client, writer } = await join(t)
  let corked = 0
  const cork = socket.cork.bind(socket)
  socket.cork = () => {
    corked++
    cork()
  }
  writer.write('a')
  writer.write(Uint8Array.of(98))
  writer.write('c')
  const [data] = await once(client, 'data')
  t.equal(String(data), 'abc')
  writer.write('d')
  t.equal(String((await once(client, 'data'))[0]), 'd')
  t.equal(corked, 2)
})

t.test('while the client does not read, nothing is read from it', async t => {
  const { socket, client, writer } = await join(t, { bufferedBytes: 16 << 20 })
  client.pause()
  socket.resume()
  writer.write(LARGE)
  t.ok(socket.isPaused())
  let received = 0
  client.on('data', chunk => {
    received += chunk.length
  })
  client.resume()
  await waitUntil(() => !socket.isPaused(), 'the end of the pause')
  await waitUntil(() => received === LARGE.length)
  t.ok(socket.writable)
})

t.test('a client that leaves too much unread is cut', async t => {
  const { socket, client, writer } = await join(t)
  client.pause()
  for (let i = 0; i < 8 && !socket.destroyed; i++) writer.write(LARGE)
  t.ok(socket.destroyed)
  writer.write('more')
  writer.end()
})

t.test('a client that reads nothing is cut in time', async t => {
  const { socket, client, writer } = await join(t, { bufferedBytes: 16 << 20, pauseMs: 20 })
  client.pause()
  writer.write(LARGE)
  await once(socket, 'close')
  t.ok(socket.destroyed)
})

t.test('the end comes when all is written, and when the client closes its side', async t => {
  const { socket, client, writer } = await join(t)
  socket.resume()
  writer.write('last')
  writer.end()
  const chunks: Buffer[] = []
  client.on('data', chunk => chunks.push(chunk))
  await once(client, 'end')
  t.equal(String(Buffer.concat(chunks)), 'last')
  client.end()
  await once(socket, 'close')
})

t.test('a client that does not close its side is cut', async t => {
  const { socket, client, writer } = await join(t)
  socket.resume()
  client.resume()
  writer.end()
  await once(socket, 'close')
  t.notOk(client.writableEnded)
})

t.test('a connection that is gone when its end is written needs no deadline', async t => {
  const { socket, writer } = await join(t)
  writer.end()
  socket.destroy()
  await once(socket, 'close')
})
