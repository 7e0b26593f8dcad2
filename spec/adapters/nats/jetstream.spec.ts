import { connect } from '@nats-io/transport-node'
import t from 'tap'
import { BusConnection } from '../../../lib/adapters/nats/bus-connection.js'
import { explainRefusal } from '../../../lib/adapters/nats/jetstream/create-stream.js'
import { JetStream, withinTime } from '../../../lib/adapters/nats/jetstream/jetstream.js'
import { rejectionOf } from '../../support/helpers.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const options = { skip: skipWithoutNats }
const never = new Promise<never>(() => {})

/** An error of JetStream's API. */
const apiError = (code: number) =>
  Object.assign(new Error('unavailable'), { name: 'JetStreamApiError', code, apiError: () => ({}) })
const named = (name: string) => Object.assign(new Error(name), { name })

t.test('an operation is repeated until NATS answers', options, async t => {
  const { url } = await startNatsServer(t)
  const connection = new BusConnection({ servers: url }, () => {})
  t.teardown(() => connection.close())
  const jetstream = new JetStream(connection, 'queue')
  const failures = [named('TimeoutError'), named('RequestError'), apiError(10_008)]
  let tries = 0
  const answer = await jetstream.persist(async ({ manager }) => {
    if (failures[tries]) throw failures[tries++]
    return (await manager.getAccountInfo()).streams
  })
  t.same([answer, tries], [0, 3])
  t.match(await rejectionOf(jetstream.persist(() => Promise.reject(apiError(5)))), { code: 5 })
  const closed = jetstream.persist(() => Promise.reject(named('ClosedConnectionError')))
  t.match(await rejectionOf(closed), { code: 'closed' })
  const { signal } = new AbortController()
  t.equal(await jetstream.persist(async () => 5, signal), 5)
  t.match(await rejectionOf(jetstream.persist(() => never, AbortSignal.abort(new Error('enough')))), {
    message: 'enough'
  })
  const aborter = new AbortController()
  const waiting = rejectionOf(
    jetstream.persist(() => {
      setImmediate(() => aborter.abort(new Error('later')))
      return never
    }, aborter.signal)
  )
  t.match(await waiting, { message: 'later' })
})

t.test('an operation ends with its connection', options, async t => {
  const server = await startNatsServer(t)
  const own = await connect({ servers: server.url })
  const connection = new BusConnection(own, () => {})
  const jetstream = new JetStream(connection, 'queue')
  await jetstream.persist(async () => 0)
  const pending = rejectionOf(
    jetstream.persist(async ({ manager }) => {
      await own.close()
      return manager.getAccountInfo()
    })
  )
  t.match(await pending, { code: 'closed' })
  t.match(await rejectionOf(jetstream.persist(async () => 0)), { code: 'closed' })

  const other = new BusConnection({ servers: server.url, maxReconnectAttempts: 1 }, () => {})
  const away = new JetStream(other, 'queue')
  await away.persist(async () => 0)
  const lost = new Promise<void>(resolve => other.events.on('disconnected', () => resolve()))
  await server.kill()
  await lost
  t.match(await rejectionOf(away.persist(async () => 0)), { code: 'closed' }, 'it has given up')
})

t.test('waiting has an end', async t => {
  // The function decides what the signal ends.
  const ended = withinTime(20, 'too late', signal => {
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  t.match(await rejectionOf(ended), { code: 'unreachable', message: 'too late' })
  const aborter = new AbortController()
  const aborted = withinTime(
    10_000,
    'too late',
    signal => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    aborter.signal
  )
  aborter.abort(new Error('enough'))
  t.match(await rejectionOf(aborted), { message: 'enough' })
  t.equal(await withinTime(10_000, 'too late', async () => 5), 5)
})

t.test('a refusal is explained, other failures are passed on', async t => {
  const explained = (error: Error) => rejectionOf(explainRefusal('the stream', Promise.reject(error)))
  t.match(await explained(named('JetStreamNotEnabled')), {
    code: 'unavailable',
    message: /^the stream: NATS has no JetStream/
  })
  t.match(await explained(apiError(10_047)), { code: 'unavailable', message: 'the stream: unavailable' })
  t.match(await explained(apiError(10_008)), { code: 10_008 })
  t.match(await explained(named('TimeoutError')), { name: 'TimeoutError' })
})
