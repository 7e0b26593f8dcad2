// Errors of handlers leave a trace at their owner: `onCallError`, which may replace what the caller is told.
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import {
  callSignal,
  exposed,
  MemoryIdempotencyStore,
  Netref,
  type OnCallError,
  pair,
  Service,
  type Session
} from '../../lib/index.js'
import { assertClean, overMemory, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

/** The calls and errors that a hook gets, as text. */
function record(replacement?: unknown) {
  const told: string[] = []
  const sessions = new Set<Session>()
  const onCallError: OnCallError = (error, { session, call }) => {
    told.push(`${call} | ${error}`)
    sessions.add(session)
    return replacement as Error
  }
  return { told, sessions, onCallError }
}

class Mailbox {
  exposed_open(_password: string) {
    throw new Error('wrong password')
  }
  async exposed_close() {
    await turn()
    throw new Error('cannot close')
  }
}

class Goods extends Service {
  exposed_items = { first: 'tea' }
  exposed_buy(item: string): void {
    throw new RangeError(`no ${item} left`)
  }
  async exposed_order(_item: string) {
    await turn()
    throw new Error('the database is down')
  }
  get exposed_price(): number {
    throw new Error('no price')
  }
  set exposed_price(_price: number) {
    throw new Error('too cheap')
  }
  exposed_symbol() {
    return { tag: Symbol('x') }
  }
  exposed_getter() {
    return {
      get bad() {
        throw new Error('cannot read')
      }
    }
  }
  exposed_mailbox() {
    return new Mailbox()
  }
  exposed_callback() {
    return function hear(_secret: string) {
      throw new Error('deaf')
    }
  }
  async *exposed_tail() {
    yield 1
    throw new Error('the log is gone')
  }
  exposed_lines() {
    return [1, 2][Symbol.iterator]()
  }
  exposed_file() {
    return new Readable({
      read() {
        this.destroy(new Error('the disk is gone'))
      }
    })
  }
  exposed_soon() {
    return { answer: turn().then(() => Promise.reject(new Error('too late'))) }
  }
  async exposed_wait() {
    const signal = callSignal()
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    throw signal.reason
  }
  async exposed_clean() {
    const signal = callSignal()
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    throw new Error('cannot clean up')
  }
  exposed_fine() {
    return 'fine'
  }
  secret() {}
}
class Shop extends Goods {
  declare readonly '~exposes'?: { hidden: true }
  @exposed({ if: () => false }) hidden() {}
}

const values = async (iterable: AsyncIterable<unknown>) => {
  for await (const _ of iterable) {
  }
}

t.test('the hook gets each error of a handler, with the operation and without arguments', async t => {
  const { told, sessions, onCallError } = record()
  await overMemory(
    t,
    Shop,
    async conn => {
      const root = conn.root as Untyped
      t.match(await rejectionOf(root.buy('a secret')), { name: 'RangeError', message: 'no a secret left' })
      await rejectionOf(root.order('a secret'))
      await rejectionOf(root.price)
      await rejectionOf(Netref.set(root, 'price', 3))
      const unsendable = await rejectionOf(root.symbol('a secret'))
      t.match(unsendable, { code: 'unsendable' })
      await rejectionOf(root.getter())
      const mailbox = await root.mailbox()
      await rejectionOf(mailbox.open('a secret'))
      const closing = rejectionOf(mailbox.close())
      Netref.release(mailbox)
      await closing
      await rejectionOf(root.mailbox().open('a secret'))
      await rejectionOf(new root.buy('x'))
      await rejectionOf(root.fine().first())
      t.same(told, [
        'root.buy() | RangeError: no a secret left',
        'root.order() | Error: the database is down',
        'root.price | Error: no price',
        'Netref.set(root.price, …) | Error: too cheap',
        'root.symbol() | UnsendableError: result.tag is Symbol(x), which cannot be sent: a symbol has no meaning outside this process: send a string',
        'root.getter() | Error: cannot read',
        'Mailbox#1.open() | Error: wrong password',
        '#1.close() | Error: cannot close',
        'answer of call 10.open() | Error: wrong password'
      ])
      t.same([...sessions], [conn.served])
      t.equal(conn.served.stats.callsFailed, 9)
    },
    { serving: { onCallError, allowSetAttrs: true } }
  )
})

t.test('refusals are the fault of the caller: the hook gets none', async t => {
  const { told, onCallError } = record()
  const serving = {
    onCallError,
    onError() {},
    before(call: object) {
      if (String(call).includes('fine')) throw new Error('not today')
    }
  }
  await overMemory(
    t,
    Shop,
    async conn => {
      const root = conn.root as Untyped
      for (const refused of [root.secret(), root.hidden(), root.missing, root.fine(), root.items()])
        await rejectionOf(refused)
      t.match(await rejectionOf(root.buy('x').first()), { message: 'no x left' })
      t.same(told, ['root.buy() | RangeError: no x left'], 'a call on a failed result has not failed again')
      t.equal(conn.served.stats.callsFailed, 1)
    },
    { serving }
  )
})

t.test('an Error that the hook returns is what the caller gets; calls on the result get it, too', async t => {
  const { onCallError } = record(new TypeError('internal error'))
  await overMemory(
    t,
    Shop,
    async ({ root: typed }) => {
      const root = typed as Untyped
      const buy = root.buy('x')
      const chained = rejectionOf(buy.first())
      const expected = { name: 'TypeError', message: 'internal error' }
      t.match(await rejectionOf(buy), expected)
      t.match(await chained, expected)
      for (const fail of [
        () => root.order(),
        () => root.symbol(),
        () => root.getter(),
        () => values(root.tail()),
        () => values(root.file()),
        async () => (await root.soon()).answer
      ])
        t.match(await rejectionOf(fail()), expected)
    },
    { serving: { onCallError } }
  )
})

t.test('other results of the hook have no effect', async t => {
  const { onCallError } = record('internal error')
  await overMemory(
    t,
    Shop,
    async ({ root }) => void t.match(await rejectionOf(root.buy('x')), { message: 'no x left' }),
    { serving: { onCallError } }
  )
})

t.test(
  'if the hook throws or returns a promise, the peer gets a general error, and onError the fault',
  async t => {
    const errors: string[] = []
    const hooks: OnCallError[] = [
      () => {
        throw new Error('the log is full')
      },
      (async () => new Error('late')) as never
    ]
    for (const onCallError of hooks) {
      await overMemory(
        t,
        Shop,
        async ({ root }) => void t.equal((await rejectionOf(root.buy('x'))).message, 'the call failed'),
        { serving: { onCallError, onError: (error, { call }) => void errors.push(`${call} | ${error}`) } }
      )
    }
    t.same(errors, [
      'root.buy() | Error: the log is full',
      'root.buy() | TypeError: root.buy(): `onCallError` returned a promise, but must decide synchronously'
    ])
  }
)

t.test('generators, streams and promises name the call that returned them', async t => {
  const { told, onCallError } = record()
  await overMemory(
    t,
    Shop,
    async conn => {
      const { root } = conn
      t.match(await rejectionOf(values(root.tail())), { message: 'the log is gone' })
      t.match(await rejectionOf(values(root.file())), { message: 'the disk is gone' })
      const { answer } = await root.soon()
      t.match(await rejectionOf(answer as Promise<unknown>), { message: 'too late' })
      const tail = (await root.tail()) as unknown as AsyncGenerator<number>
      await tail.next('go' as never)
      await rejectionOf(tail.next('on' as never))
      const callback = (await root.callback()) as Untyped
      await rejectionOf(callback('a secret'))
      Netref.release(callback)
      t.same(told, [
        'root.tail() | Error: the log is gone',
        'root.file() | Error: the disk is gone',
        'root.soon() | Error: too late',
        'root.tail().next | Error: the log is gone',
        'hear#5() | Error: deaf'
      ])
      t.equal(conn.served.stats.callsFailed, 5)
    },
    { serving: { onCallError } }
  )
})

t.test('a promise that rejects after its session has ended is no failure', async t => {
  const { told, onCallError } = record()
  let reject!: (error: Error) => void
  const late = new Promise<never>((_, rejected) => {
    reject = rejected
  })
  const joined = pair({ late: () => ({ late }) }, { serving: { onCallError } })
  const { late: arrived } = await joined.root.late()
  arrived.catch(() => {})
  await joined.close()
  reject(new Error('too late'))
  await turn()
  t.same(told, [])
  await assertClean(t, joined.session, joined.served)
})

t.test('a promise that a client passed and that rejects is a failure of the client', async t => {
  const { told, onCallError } = record()
  await overMemory(
    t,
    { take: async (given: Promise<unknown>) => void (await given.catch(() => 0)) },
    async ({ root }) => {
      await root.take(turn().then(() => Promise.reject(new Error('no'))))
      t.same(told, ['Promise#1 | Error: no'])
    },
    { onCallError }
  )
})

t.test('a failed one-way call goes to the hook and not to onError', async t => {
  const errors: unknown[] = []
  const onError = (error: unknown) => void errors.push(error)
  const { told, onCallError } = record()
  for (const hook of [onCallError, undefined])
    await overMemory(
      t,
      Shop,
      async conn => {
        await Netref.oneway(conn.root.buy)('a secret')
        await conn.ping()
      },
      { serving: { onCallError: hook, onError } }
    )
  t.same(told, ['root.buy() | RangeError: no a secret left'])
  t.equal(errors.length, 1)
})

t.test('a handler that throws the reason of its cancellation has not failed; another error has', async t => {
  const { told, onCallError } = record()
  await overMemory(
    t,
    Shop,
    async conn => {
      const stop = new AbortController()
      const root = Netref.with(conn.root, { signal: stop.signal })
      const failed = [rejectionOf(root.wait()), rejectionOf(root.clean())]
      await conn.ping()
      stop.abort()
      await Promise.all(failed)
      await conn.ping()
      t.same(told, ['root.clean() | Error: cannot clean up'])
    },
    { serving: { onCallError } }
  )
})

t.test('an error after the end of the session leaves a trace, unless it is that end', async t => {
  const { told, onCallError } = record()
  const conn = pair(Shop, { serving: { onCallError } })
  const failed = [rejectionOf(conn.root.wait()), rejectionOf(conn.root.clean())]
  await conn.ping()
  await conn.close()
  await Promise.all(failed)
  await waitUntil(() => told.length > 0)
  await turn()
  t.same(told, ['root.clean() | Error: cannot clean up'])
})

t.test('a call with an idempotency key: the store keeps what the caller was told', async t => {
  const { told, onCallError } = record(new Error('internal error'))
  const store = new MemoryIdempotencyStore()
  await overMemory(
    t,
    Shop,
    async conn => {
      for (let i = 0; i < 2; i++) {
        const buy = Netref.with(conn.root.buy, { idempotencyKey: 'k' })
        t.equal((await rejectionOf(buy('x'))).message, 'internal error')
      }
      const hidden = Netref.with((conn.root as Untyped).hidden, { idempotencyKey: 'h' })
      t.match(await rejectionOf(hidden()), { code: 'not-exposed' })
      t.same(told, ['root.buy() | RangeError: no x left'], 'the repeated call did not run')

      store.get = () => {
        throw new Error('the store at 10.0.0.5 is down')
      }
      const other = Netref.with(conn.root.buy, { idempotencyKey: 'other' })
      t.equal((await rejectionOf(other('x'))).message, 'internal error')
      t.match(told[1], /root\.buy\(\) \| Error: the store at/)
    },
    { identity: 'ann', serving: { onCallError, idempotencyStore: store } }
  )
})
