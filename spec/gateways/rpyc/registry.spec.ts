import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { type BrineValue, decodeBrine, encodeBrine } from '../../../lib/gateways/rpyc/brine.js'
import { findRpyc, Registration } from '../../../lib/gateways/rpyc/registry.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { useFakeClock } from '../../support/fake-clock.js'

// spec/outside/gateway-rpyc-out.spec.ts has the registry of RPyC.

/** A registry that answers as it is told. */
async function open(t: Test, answer: (command: string, args: BrineValue) => unknown, host = '127.0.0.1') {
  const socket = createSocket(host === '::1' ? 'udp6' : 'udp4').bind(0, host)
  await once(socket, 'listening')
  const requests: BrineValue[] = []
  socket.on('message', (bytes, { port, address }) => {
    const [magic, command, args] = decodeBrine(bytes, DEFAULT_LIMITS) as [string, string, BrineValue]
    t.equal(magic, 'RPYC')
    requests.push([command, args])
    const reply = answer(command, args)
    if (reply !== undefined) socket.send(Buffer.isBuffer(reply) ? reply : encodeBrine(reply), port, address)
  })
  t.teardown(() => closeOnce(socket))
  return { requests, socket, registry: { host, port: socket.address().port } }
}

const closeOnce = (socket: Socket) => {
  try {
    socket.close()
  } catch {
    // A test has closed it.
  }
}

t.test('services are found by name', async t => {
  for (const host of ['127.0.0.1', '::1']) {
    const { registry, requests } = await open(t, () => [['10.0.0.1', 18861]], host)
    t.strictSame(await findRpyc('tutorial', registry), [{ host: '10.0.0.1', port: 18861 }])
    t.strictSame(requests, [['QUERY', ['tutorial']]])
  }
  const { registry } = await open(t, () => [])
  t.strictSame(await findRpyc('tutorial', registry), [])
})

t.test('a registry that answers wrongly, or not at all, is told', async t => {
  const wrong = [null, 'OK', 1, [1], [['host']], [['host', 0]], [['host', 65536]], [[1, 2]], [['host', 1.5]]]
  for (const reply of wrong) {
    const { registry } = await open(t, () => reply)
    await t.rejects(findRpyc('tutorial', registry), { message: /"tutorial".*something else than addresses/ })
  }
  const noBrine = await open(t, () => Buffer.from([7]))
  await t.rejects(findRpyc('tutorial', noBrine.registry), { message: /answered what is no brine/ })
  const silent = await open(t, () => undefined)
  await t.rejects(findRpyc('tutorial', { ...silent.registry, timeout: 50 }), {
    message: /did not answer within 50 ms/
  })
  silent.socket.close()
  await t.rejects(findRpyc('tutorial', silent.registry), { message: /cannot be asked: .*ECONNREFUSED/ })
  await t.rejects(findRpyc('x'.repeat(2000)), RangeError)
  await t.rejects(findRpyc('tutorial', { host: 'no-such-host.invalid' }), { message: /cannot be asked/ })
})

t.test('a registration is renewed until it ends', async t => {
  useFakeClock(t, ['setInterval'])
  const { registry, requests, socket } = await open(t, () => 'OK')
  const registration = new Registration({ ...registry, names: ['A', 'B'] }, 'rpyc')
  registration.begin(18861)
  await once(socket, 'message')
  mock.timers.tick(60_000)
  await once(socket, 'message')
  await registration.end()
  mock.timers.tick(60_000)
  t.strictSame(requests, [
    ['REGISTER', [['A', 'B'], 18861]],
    ['REGISTER', [['A', 'B'], 18861]],
    ['UNREGISTER', [18861]]
  ])
  await registration.end()
  t.equal(requests.length, 3, 'once')
})

t.test('options of a registration are checked', async t => {
  const refused: [options: object, error: { name: string; message?: RegExp }][] = [
    [{ names: ['x'.repeat(2000)] }, { name: 'RangeError', message: /2\d+ bytes/ }],
    [{ names: [] }, { name: 'TypeError', message: /^rpyc: `registry` needs `names`/ }],
    [{ names: 'TUTORIAL' }, { name: 'TypeError' }],
    [{ names: [1] }, { name: 'TypeError' }],
    [{}, { name: 'TypeError' }],
    [
      { names: ['A'], hots: '' },
      { name: 'TypeError', message: /did you mean `host`/ }
    ]
  ]
  for (const [options, error] of refused) t.throws(() => new Registration(options as never, 'rpyc'), error)
  await new Registration({ names: ['A'] }, 'rpyc').end()
})

t.test('one warning tells of a registry that cannot be asked', async t => {
  const { registry, socket } = await open(t, () => 'OK')
  socket.close()
  const warning = once(process, 'warning')
  useFakeClock(t, ['setInterval'])
  const registration = new Registration({ ...registry, names: ['A'] }, 'rpyc')
  registration.begin(18861)
  t.match((await warning)[0].message, /the gateway is not registered: .*ECONNREFUSED/)
  let warnings = 0
  process.on('warning', () => warnings++)
  mock.timers.tick(60_000)
  await registration.end()
  await new Promise(setImmediate)
  t.equal(warnings, 0)
})
