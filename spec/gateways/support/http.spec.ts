// Specs of reading and answering HTTP requests.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { answer, answerRefusal, readBody } from '../../../lib/gateways/support/http.js'

const LIMITS = { jsonBytes: 100, helloMs: 10_000 }

/** A server that answers with the body it read, and keeps the errors of its reads. */
async function start(t: Test, limits = LIMITS) {
  const errors: unknown[] = []
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      answer(response, 200, 'text/plain', String(await readBody(request, limits)))
    } catch (error) {
      errors.push(error)
      t.ok(answerRefusal(response, error))
    }
  }
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, errors, url: `http://127.0.0.1:${port}` }
}

/** Sends bytes, and returns all that comes back. */
async function exchange(port: number, ...texts: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answered = ''
  socket.setEncoding('utf8').on('data', text => {
    answered += text
  })
  for (const text of texts) {
    socket.write(text)
    await new Promise(setImmediate)
  }
  await once(socket, 'close')
  return answered
}

t.test('a body is read whole', async t => {
  const { url, port } = await start(t)
  t.equal(await (await fetch(url, { method: 'POST', body: 'hällo' })).text(), 'hällo')
  t.equal(await (await fetch(url, { method: 'POST' })).text(), '')
  const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
  t.match(
    await exchange(port, chunked, '3\r\nabc\r\n', '2\r\nde\r\n0\r\n\r\n'),
    /^HTTP\/1\.1 200 .*\r\n\r\nabcde$/s
  )
})

t.test('a body is refused by the status that says why', async t => {
  const { url, port, errors } = await start(t)
  t.equal((await fetch(url, { method: 'POST', body: 'x'.repeat(100) })).status, 200)
  const long = await fetch(url, { method: 'POST', body: 'x'.repeat(101) })
  t.equal(long.status, 413)
  t.equal(long.headers.get('connection'), 'close')
  t.match(await long.text(), /limits\.jsonBytes/)
  const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
  t.match(await exchange(port, `${chunked}c8\r\n${'x'.repeat(200)}\r\n`), /^HTTP\/1\.1 413 /)
  const zipped = await fetch(url, { method: 'POST', body: 'x', headers: { 'content-encoding': 'gzip' } })
  t.equal(zipped.status, 415)
  await zipped.text()
  const identity = await fetch(url, {
    method: 'POST',
    body: 'x',
    headers: { 'content-encoding': 'Identity' }
  })
  t.equal(await identity.text(), 'x')
  t.equal(errors.length, 3)
})

t.test('a client that stops sending is refused', async t => {
  const { port } = await start(t, { ...LIMITS, helloMs: 20 })
  t.match(
    await exchange(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n', 'ab'),
    /^HTTP\/1\.1 408 /
  )
})

t.test('a body that is cut is refused', async t => {
  const { port, errors } = await start(t)
  const socket = connect(port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab', () => socket.destroy())
  await once(socket, 'close')
  while (errors.length === 0) await new Promise(setImmediate)
  t.match(errors, [{ status: 400 }])
})

t.test('other errors are not answered', async t => {
  t.notOk(answerRefusal({} as ServerResponse, new Error('no')))
})
