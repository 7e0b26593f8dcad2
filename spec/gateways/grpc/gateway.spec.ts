// The gateway of gRPC with clients of grpc-js: methods of all kinds, arguments, results, errors, cancellation and streams.
import { once } from 'node:events'
import { connect } from 'node:http2'
import { status } from '@grpc/grpc-js'
import t from 'tap'
import { serve } from '../../../lib/index.js'
import { Client, library, log, overGrpc } from '../../support/grpc.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'

t.test('methods of all four kinds', t =>
  overGrpc(t, async client => {
    t.same(await client.unary('add', { x: 1, y: 2 }), { value: 3 })
    t.same(
      await client.serverStream('count', { count: 3 }).toArray(),
      [1, 2, 3].map(count => ({ count: `${count}` }))
    )
    const { call, reply } = client.clientStream('total')
    for (const value of [1, 2, 3]) call.write({ value })
    call.end()
    t.same(await reply, { value: 6 })
    const shout = client.bidi('shout')
    const shouted = shout[Symbol.asyncIterator]()
    for (const text of ['one', 'two']) {
      shout.write({ text })
      t.same((await shouted.next()).value, { text: text.toUpperCase() })
    }
    shout.end()
    t.equal((await shouted.next()).done, true)
  })
)

t.test('fields are the arguments if they have the names of the parameters', t =>
  overGrpc(t, async client => {
    t.same(await client.unary('add', { y: -1.5 }), { value: -1.5 })
    t.same(await client.unary('sum', { things: [1, 2, 3] }), { value: 6 }, 'a rest parameter takes a list')
    t.same(await client.unary('Greet', { first_name: 'Ada' }), { text: 'Hello Ada Unknown!' })
    t.same(await client.unary('Greet', { first_name: 'Ada', last_name: '' }), { text: 'Hello Ada !' })
    await client.unary('nothing')
    t.same(log.events, ['nothing 0'])
  })
)

t.test('results become messages, or an error that names what does not fit', t =>
  overGrpc(t, async client => {
    const answer = (text: string) => client.unary('answer', { text })
    t.same(await answer('number'), { value: 1 })
    t.same(await answer('object'), { value: 2 })
    t.same(await answer('undefined'), { value: 0 })
    t.same(await answer('null'), { value: 0 })
    const failures = {
      text: 'result.value is "x"; the type double is needed',
      unknown: 'result.valu is no field of netref.spec.Number: its fields are "value"',
      reference: 'result.value is a reference, and gRPC has none; pass plain data',
      bigint: 'result.value is 5n; the type double is needed'
    }
    for (const [name, details] of Object.entries(failures))
      t.match(await rejectionOf(answer(name)), { code: status.INTERNAL, details })
    t.match(await rejectionOf(client.unary('echo', { text: 'many' })), { code: status.RESOURCE_EXHAUSTED })
  })
)

t.test('what can be iterated over is a stream', t =>
  overGrpc(t, async client => {
    const iterate = (text: string) => client.serverStream('iterate', { text })
    t.same(await iterate('list').toArray(), [{ text: 'a' }, { text: 'b' }])
    t.same(await iterate('stream').toArray(), [{ text: 'c' }])
    t.match(await rejectionOf(iterate('x').toArray()), {
      code: status.INTERNAL,
      details: 'result is "x"; a stream needs an iterator, a list or a ReadableStream'
    })
    t.match(await rejectionOf(iterate('reference').toArray()), {
      code: status.INTERNAL,
      details: 'result[0].text is a reference, and gRPC has none; pass plain data'
    })
    const broken = iterate('broken')
    const items = broken[Symbol.asyncIterator]()
    t.same((await items.next()).value, { text: 'first' })
    t.match(await rejectionOf(items.next()), { code: status.NOT_FOUND, details: 'it breaks' })
  })
)

t.test('the status of a call that fails', t =>
  overGrpc(t, async client => {
    const fail = (text: string) => rejectionOf(client.unary('fail', { text }))
    t.match(await fail('it fails'), { code: status.UNKNOWN, details: 'it fails' })
    t.match(await fail('5'), { code: status.NOT_FOUND, details: '5' })
    for (const none of ['0', '17', '-1', '1.5']) t.match(await fail(none), { code: status.UNKNOWN })
    t.match(await fail('timeout'), { code: status.DEADLINE_EXCEEDED, details: 'too late' })
    t.match(await fail('abort'), { code: status.CANCELLED, details: 'given up' })
    t.match(await fail('é€😀'), { details: 'é€😀' })
    t.match(await fail('x'.repeat(100_000)), { details: /^x{4096}$/ })
    t.match(await fail('😀'.repeat(10_000)), { code: status.UNKNOWN, details: /^(😀){100,}$/u })
    t.match(await rejectionOf(client.unary('absent')), {
      code: status.UNIMPLEMENTED,
      details: /root.absent.*is not exposed, or does not exist/
    })
  })
)

t.test('a method without a member is reported once', t =>
  overGrpc(t, async (client, _, errors) => {
    await client.unary('add')
    await client.unary('add')
    t.match(errors, [
      {
        name: 'TypeError',
        message:
          'grpc: the service exposes no member `absent` (/netref.spec.Library/absent): calls of it get UNIMPLEMENTED; expose it, or remove the rpc'
      }
    ])
    t.equal(errors.length, 1)
  })
)

t.test('a call that its client cancels, or that is late, aborts its signal', t =>
  overGrpc(t, async (client, server) => {
    const call = client.stub.wait!({}, () => {})
    await log.waitFor('waits')
    call.cancel()
    await log.waitFor('aborted AbortError')
    const late = await rejectionOf(client.unary('wait', {}, {}, { deadline: Date.now() + 100 }))
    t.match(late, { code: status.DEADLINE_EXCEEDED })
    // The client of grpc-js cancels a call that is late. This one leaves it to the server.
    const session = connect(`http://127.0.0.1:${server.port}`)
    const stream = session.request({
      ':method': 'POST',
      ':path': '/netref.spec.Library/wait',
      'content-type': 'application/grpc',
      'grpc-timeout': '100m'
    })
    stream.end(Buffer.alloc(5))
    const [headers] = await once(stream, 'response')
    t.match(headers, { 'grpc-status': '4', 'grpc-message': 'Deadline%20exceeded' })
    await log.waitFor('aborted TimeoutError')
    session.destroy()
  })
)

t.test('a stream that its client leaves ends its generator', t =>
  overGrpc(t, async client => {
    const long = client.serverStream('count', { count: 1_000_000 }).on('error', () => {})
    t.same((await once(long, 'data'))[0], { count: '1' })
    long.cancel()
    await log.waitFor('count ended')
    const stuck = client.serverStream('iterate', { text: 'stuck' }).on('error', () => {})
    t.same((await once(stuck, 'data'))[0], { text: 'first' })
    stuck.cancel()
    await log.waitFor('stuck ended')
    const { call, reply } = client.clientStream('total')
    call.write({ value: 1 })
    await waitUntil(() => true)
    call.cancel()
    t.match(await rejectionOf(reply), { code: status.CANCELLED })
  })
)

t.test('a method that does not read its stream to the end answers at once', t =>
  overGrpc(t, async client => {
    const { call, reply } = client.clientStream('total')
    call.on('error', () => {})
    for (let value = 1; value < 50; value++) call.write({ value })
    t.same(await reply, { value: 105 })
  })
)

t.test('a service that has none of the methods', async t => {
  const errors: unknown[] = []
  const server = await serve(
    { other: () => 1 },
    { port: 0, onError: error => void errors.push(error), gateways: [library()] }
  )
  const client = new Client(`127.0.0.1:${server.port}`)
  t.match(await rejectionOf(client.unary('add')), { code: status.UNIMPLEMENTED })
  t.match(errors, [/no member `add` \(\/netref.spec.Library\/add\), `sum`/])
  client.close()
  await server.close()
})
