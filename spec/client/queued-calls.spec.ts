import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type QueuedCallOptions, QueuedCalls } from '../../lib/client/queued-calls.js'
import {
  callSession,
  callSignal,
  exposes,
  NetrefError,
  Service,
  type Session,
  SessionEndedError
} from '../../lib/index.js'
import { assertClean, rejectionOf } from '../support/helpers.js'

class Mailer extends Service {
  static {
    exposes(Mailer, { send: true, again: { idempotent: true }, fail: true, wait: true, open: true })
  }
  static log: string[] = []
  static session: Session

  override async onConnect(session: Session) {
    Mailer.session = session
    await turn()
    Mailer.log.push('connected')
  }
  override onDisconnect() {
    Mailer.log.push('disconnected')
  }
  async send(to: string) {
    const session = callSession()
    await turn()
    Mailer.log.push(`${to} ${session === callSession()} ${session === Mailer.session} ${session.identity}`)
  }
  again() {}
  fail() {
    throw new RangeError('no')
  }
  async wait() {
    const signal = callSignal()
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    throw signal.reason
  }
  open() {
    return callSession().close()
  }
}

t.beforeEach(() => {
  Mailer.log = []
})

const quiet: QueuedCallOptions = { onError: () => {} }

async function outcome(calls: QueuedCalls, name: string | symbol, args: unknown[] = [], mayHaveRun = false) {
  return (await calls.start([name], args, mayHaveRun)).outcome
}

t.test('calls run in one session, of which nobody is the peer', async t => {
  const calls = new QueuedCalls(Mailer, quiet, 'work')
  await calls.open()
  await calls.open()
  t.same(Mailer.log, ['connected'])
  t.same(await outcome(calls, 'send', ['ada']), { kind: 'done' })
  t.same(Mailer.log, ['connected', 'ada true true undefined'])
  await assertClean(t, Mailer.session)
  await calls.close()
  t.same(Mailer.log.at(-1), 'disconnected')
  t.match(await rejectionOf(calls.start(['send'], [], false)), { code: 'closed' })
  await calls.close()
})

t.test('the rules for the calls of peers hold', async t => {
  const seen: string[] = []
  const calls = new QueuedCalls(
    Mailer,
    {
      ...quiet,
      before: call => {
        seen.push(String(call))
        const [arg] = call.args
        if (arg === 'error') throw new Error('who?')
        if (arg === 'code') throw new NetrefError('forbidden', 'not you')
        if (arg === 'bare') throw { reason: 'bad' }
      },
      onCallError: (error, { call }) => {
        seen.push(`${call} ${error}`)
        return new Error('hidden')
      }
    },
    'work'
  )
  t.match(await outcome(calls, 'missing'), { kind: 'rejected', code: 'not-exposed', message: /missing/ })
  t.match(await outcome(calls, Symbol.iterator), { kind: 'rejected', code: 'not-exposed' })
  t.same(await outcome(calls, 'send', ['error']), { kind: 'rejected', code: 'refused', message: 'who?' })
  t.same(await outcome(calls, 'send', ['code']), { kind: 'rejected', code: 'forbidden', message: 'not you' })
  t.same(await outcome(calls, 'send', ['bare']), {
    kind: 'rejected',
    code: 'refused',
    message: '[object Object]'
  })
  t.match(await outcome(calls, 'fail'), { kind: 'failed', error: { message: 'hidden' } })
  t.same(seen.at(-1), 'root.fail() RangeError: no')
  t.match(await outcome(calls, 'send', [], true), { kind: 'rejected', code: 'may-have-run' })
  t.same(await outcome(calls, 'again', [], true), { kind: 'done' })
  await calls.close()
})

t.test(
  'a call is aborted by its user, and by the end of the session; the next one opens another',
  async t => {
    const calls = new QueuedCalls(() => new Mailer(), quiet, 'work')
    const call = await calls.start(['wait'], [], false)
    call.abort(new Error('enough'))
    t.match(await call.outcome, { kind: 'failed', error: { message: 'enough' } })
    const other = await calls.start(['wait'], [], false)
    t.same(await outcome(calls, 'open'), { kind: 'done' })
    t.match(await other.outcome, { kind: 'failed', error: SessionEndedError })
    t.same(await outcome(calls, 'again'), { kind: 'done' })
    t.equal(Mailer.log.filter(line => line === 'connected').length, 2)
    await calls.close()
  }
)

t.test('without a service no call starts', async t => {
  t.throws(() => new QueuedCalls(5 as never, quiet, 'work'), /^work: a service must be/)
  t.throws(() => new QueuedCalls(Mailer, { limits: { depth: 0 } }, 'work'), /^work: limits\.depth/)
  const errors: unknown[] = []
  const broken = () => {
    throw new Error('no database')
  }
  const calls = new QueuedCalls(broken, { onError: error => errors.push(error) }, 'work')
  t.match(await rejectionOf(calls.open()), { code: 'service-failed', message: /^work: / })
  t.match(errors, [{ message: 'no database' }])
  await calls.close()

  // The deadline does not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  class Slow extends Service {
    override onConnect() {
      return new Promise<void>(() => {})
    }
  }
  const slow = new QueuedCalls(Slow, { ...quiet, limits: { helloMs: 50 } }, 'work')
  t.match(await rejectionOf(slow.open()), { code: 'service-failed' })
  const closing = new QueuedCalls(Slow, quiet, 'work')
  const opening = rejectionOf(closing.open())
  await turn()
  await closing.close()
  t.match(await opening, { code: 'closed' })
})
