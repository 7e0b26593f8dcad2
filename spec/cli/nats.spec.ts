// Tests the command line with addresses on NATS, as far as it needs no NATS server; spec/adapters/nats/cli.spec.ts has the rest.
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { instanceTable, parseNatsAddress } from '../../lib/cli/nats.js'
import { fails } from '../support/command-line.js'

const FIXTURE = fileURLToPath(new URL('../support/fixtures/cli/calculator.ts', import.meta.url))

t.test('an address on NATS has a server and a service', async t => {
  const parsed = (address: string) => parseNatsAddress(address)
  t.same(parsed('nats://localhost:4222'), { server: 'nats://localhost:4222', name: '' })
  t.same(parsed('nats://localhost:4222/'), { server: 'nats://localhost:4222', name: '' })
  t.same(parsed('TLS://ada:secret@h/LineCounter'), { server: 'TLS://ada:secret@h', name: 'LineCounter' })
  t.equal(parsed('ws://localhost:4222/LineCounter'), undefined)
})

t.test('the instances of services are a table', async t => {
  const metrics = { sessions: 2 } as never
  const counter = { name: 'LineCounter', version: '1.2.0', description: undefined, metadata: {}, metrics }
  t.same(
    instanceTable([
      { ...counter, id: 'i2', metadata: { zone: 'eu', rack: '7' } },
      {
        ...counter,
        name: 'Clock',
        id: 'i9',
        description: 'Tells\x1b[31m the time',
        metrics: { sessions: 1 } as never
      },
      { ...counter, id: 'i1', version: '1.10.0' }
    ]),
    [
      'Clock        i9  1.2.0   1 session                   Tells\\u001b[31m the time',
      'LineCounter  i1  1.10.0  2 sessions',
      'LineCounter  i2  1.2.0   2 sessions  zone=eu rack=7'
    ]
  )
})

t.test('what is no address is told, and so is a NATS server that cannot be reached', async t => {
  const nowhere = 'nats://ada:secret@127.0.0.1:1'
  const unreachable = /^Error: (?!.*secret).*cannot reach NATS/
  await fails(t, ['ls', nowhere], 3, unreachable)
  await fails(t, ['call', `${nowhere}/LineCounter`, 'add', '1'], 3, unreachable)
  await fails(t, ['serve', FIXTURE, '--nats', nowhere], 3, unreachable)
  await fails(t, ['serve', FIXTURE, '--nats', nowhere, '--json'], 3, unreachable)

  const dir = t.testdir({ 'object.mjs': 'export default {}' })
  await fails(t, ['serve', `${dir}/object.mjs`, '--nats', nowhere], 3, unreachable)

  const nameless =
    'netref call: nats://127.0.0.1:1 names no service; add its name, as in nats://127.0.0.1:1/LineCounter\nSee netref call --help\n'
  await fails(t, ['call', nowhere, 'add'], 2, nameless)
  await fails(t, ['ls', nowhere, 'config'], 2, /names no service/)
  await fails(t, ['ls', `${nowhere}/a.b`], 2, /^netref ls: "a\.b" is no name; use /)
  await fails(t, ['ls', 'nats://h:x'], 2, /^netref ls: "nats:\/\/h:x" is not an address of NATS/)
  await fails(
    t,
    ['serve', FIXTURE, '--nats', 'ws://ada:secret@h'],
    2,
    /--nats ws:\/\/h is not an address such as nats:/
  )
  await fails(
    t,
    ['serve', FIXTURE, '--nats', nowhere, '--port', '0'],
    2,
    /--port cannot be combined with --nats/
  )
})
