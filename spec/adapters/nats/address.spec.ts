// Tests addresses of NATS servers: credentials and TLS, on real nats-servers.
import t from 'tap'
import { parseAddress } from '../../../lib/adapters/nats/address.js'
import { nats } from '../../../lib/adapters/nats.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const skip = skipWithoutNats

t.test('an address may have credentials, and require TLS', async t => {
  t.same(parseAddress('nats://localhost:4222'), { servers: 'localhost:4222' })
  t.same(parseAddress('localhost'), { servers: 'localhost' })
  t.same(parseAddress('nats://[::1]:4222/'), { servers: '[::1]:4222' })
  t.same(parseAddress('tls://nats.example'), { servers: 'nats.example', tls: {} })
  t.same(parseAddress('nats://ada:p%40ss:word@h:1'), { servers: 'h:1', user: 'ada', pass: 'p@ss:word' })
  t.same(parseAddress('ada:secret@h'), { servers: 'h', user: 'ada', pass: 'secret' })
  t.same(parseAddress('nats://to%2Fken@h'), { servers: 'h', token: 'to/ken' })
})

t.test('what is no address is told, without its credentials', async t => {
  for (const address of ['', 'nats://', 'ws://h', 'nats://h:x', 'nats://h/LineCounter', 'nats://a,nats://b'])
    t.throws(() => nats(address), {
      name: 'TypeError',
      message: / is not an address of NATS; pass one such as /
    })
  for (const address of ['ada:secret@h:x', 'nats://ada:secret%@h', 'ws://ada:secret@h'])
    t.notMatch(
      t.throws(() => parseAddress(address), TypeError),
      { message: /secret/ }
    )
})

t.test('NATS checks the credentials', { skip }, async t => {
  const open = async (address: string) => {
    const bus = nats(address)
    await bus.connection.open().finally(() => bus.close())
  }
  const refused = {
    name: 'NetrefError',
    code: 'unauthorized',
    message: /^cannot reach NATS at 127\.0\.0\.1:\d+: Authorization/i
  }
  const byUser = await startNatsServer(t, {
    jetstream: false,
    config: 'authorization { user: ada, password: "p@ss" }'
  })
  const host = `127.0.0.1:${byUser.port}`
  await open(`nats://ada:p%40ss@${host}`)
  await t.rejects(open(`nats://ada:wrong@${host}`), refused)
  await t.rejects(open(`nats://${host}`), refused)
  const byToken = await startNatsServer(t, { jetstream: false, config: 'authorization { token: "secret" }' })
  await open(`nats://secret@127.0.0.1:${byToken.port}`)
  const plain = await startNatsServer(t, { jetstream: false })
  await t.rejects(open(plain.url.replace('nats:', 'tls:')), { code: 'unreachable', message: /tls/i })
})
