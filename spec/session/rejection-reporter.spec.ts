// A peer can have any number of one-way calls refused, and whoever runs the server is told in a few lines.
import { mock } from 'node:test'
import t from 'tap'
import {
  connect,
  type ErrorContext,
  exposed,
  Netref,
  type PeerCall,
  Service,
  serve
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { RejectionReporter } from '../../lib/session/rejection-reporter.js'
import type { StandardSchema } from '../../lib/types/standard-schema.js'
import { useFakeClock } from '../support/fake-clock.js'
import { assertClean } from '../support/helpers.js'
import { RawPeer } from '../support/raw-peer.js'
import type { Untyped } from '../support/wire.js'

/** What is told, in words. */
function keep(): { told: string[]; onError(error: unknown, context: ErrorContext): void } {
  const events: string[] = []
  return { told: events, onError: (error, { call }) => void events.push(`${call ?? ''}|${error}`) }
}

const numbers: StandardSchema<[number]> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: (args: unknown) =>
      (args as unknown[]).every(arg => typeof arg === 'number')
        ? { value: args as [number] }
        : { issues: [{ message: 'no number' }] }
  }
}

class Target extends Service {
  @exposed fail(n: number) {
    throw new RangeError(`of ${n}`)
  }
  @exposed(numbers) checked(_n: number) {}
  @exposed denied() {}
}

const before = ({ path }: PeerCall) => {
  if (path.includes('denied')) throw new EvalError('not for you')
  if (path.includes('text')) throw 'a text'
}

t.test('the first refusal of a one-way call is reported, further ones are counted', async t => {
  const { told, onError } = keep()
  const server = await serve(Target, { port: 0, onError, before })
  const honest = connect<Target>(server.url)
  const peer = await RawPeer.open(server.url)
  const send = (times: number, message: (i: number) => unknown[]) =>
    peer.send(Array.from({ length: times }, (_, i) => [Op.oneway, 0, 0, ...message(i)]))
  const bigint = '1'.repeat(10_001)
  send(1000, i => [`secret${i}`, []])
  send(1000, i => [['fail', `deeper${i}`], []])
  for (let i = 0; i < 3; i++) send(100, () => ['fail', [bigint], [['bigint', [0]]]])
  send(500, () => ['checked', ['no']])
  send(500, () => ['denied', []])
  await peer.ping()
  void Netref.oneway(honest.root.denied as Untyped)()
  await honest.ping()
  const first = [
    /^root.secret0\(\)\|ExposureError: .*"secret0" is not exposed/,
    /^root.fail\(\)\|LimitError: .* a bigint has more than 10000 digits/,
    /^root.checked\(\)\|ArgumentsError: .*no number/,
    /^root.denied\(\)\|EvalError: not for you/
  ]
  t.match(told, first)
  t.equal(told.length, first.length)
  await assertClean(t, honest.session, ...server.sessions)
  await honest.close()
  await server.close()
  t.match(told.slice(first.length), [
    /^\|NetrefError: 1999 more one-way calls were refused within 10 s, the last: ExposureError: root.fail/,
    /^\|NetrefError: 299 more one-way calls were refused within 10 s, the last: LimitError/,
    /^\|NetrefError: 499 more one-way calls were refused within 10 s, the last: ArgumentsError/,
    /^\|NetrefError: 500 more one-way calls were refused within 10 s, the last: EvalError: not for you/
  ])
  t.equal(told.length, 2 * first.length)
})

t.test('every failure of the method itself is reported', async t => {
  const { told, onError } = keep()
  const server = await serve(Target, { port: 0, onError, before })
  const conn = connect<Target>(server.url)
  for (let i = 0; i < 3; i++) void Netref.oneway(conn.root.fail as Untyped)(i)
  for (let i = 0; i < 2; i++) void Netref.oneway((conn.root as Untyped).text)()
  await conn.ping()
  t.same(told, [
    'root.fail()|RangeError: of 0',
    'root.fail()|RangeError: of 1',
    'root.fail()|RangeError: of 2',
    'root.text()|a text',
    'root.text()|a text'
  ])
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
  t.equal(told.length, 5)
})

t.test('a client counts the refusals that its server causes, until it closes', async t => {
  const { told, onError } = keep()
  const server = await serve({ ping: () => {} }, { port: 0 })
  const conn = connect<object>(server.url, { onError, service: { noisy: () => {} } })
  await conn.ping()
  const [session] = server.sessions
  for (let i = 0; i < 3; i++) void Netref.oneway((session!.root as Untyped).secret)()
  await session!.ping()
  t.match(told, [/^root.secret\(\)\|ExposureError/])
  await assertClean(t, conn.session, session!)
  await conn.close()
  t.match(told.slice(1), [/2 more one-way calls were refused within 10 s, the last: ExposureError/])
  await server.close()
})

t.test('counted refusals are reported after ten seconds', t => {
  useFakeClock(t, ['setTimeout'])
  const events: string[] = []
  const refusals = new RejectionReporter((error, { call }) => events.push(`${call}|${error}`))
  const tell = (text: string) => refusals.add('limit', new Error(text), { session: undefined, call: 'f()' })
  tell('a')
  tell('b'.repeat(5000))
  t.same(events.splice(0), ['f()|Error: a'])
  mock.timers.tick(9999)
  t.equal(events.length, 0)
  mock.timers.tick(1)
  t.match(events, [
    /^undefined\|NetrefError: 1 more one-way call was refused within 10 s, the last: Error: b+…$/
  ])
  t.ok(events.splice(0)[0]!.length < 400)
  tell('c')
  t.same(events.splice(0), ['f()|Error: c'], 'counting starts again')
  mock.timers.tick(10_000)
  t.equal(events.length, 0, 'a single refusal is not reported again')
  t.end()
})
