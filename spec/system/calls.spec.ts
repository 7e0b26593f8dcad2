// Tests the options of single calls: cancellation, one-way calls and copies, and what their owner observes. Each runs
// over memory and over a real socket.
import { getEventListeners } from 'node:events'
import t from 'tap'
import { type ReportingSession, runInCall } from '../../lib/access/call-context.js'
import {
  type CommonOptions,
  callSession,
  callSignal,
  type ErrorContext,
  expose,
  exposed,
  Netref,
  pair,
  type Session,
  SessionEndedError,
  UnsendableError
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { handlerOf } from '../../lib/remote/proxy.js'
import { assertClean, overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

/** A running call of `wait`. */
interface Waiting {
  readonly name: string
  readonly signal: AbortSignal
  readonly settle: (value: unknown) => void
  readonly fail: (error: unknown) => void
}

/** A service, and the outcomes of the calls made to it. */
function desk() {
  const waiting: Waiting[] = []
  const received: unknown[] = []
  const root = {
    /** Answers when the spec says so, or fails when its caller cancels. */
    wait(name = '') {
      const signal = callSignal()
      return new Promise((settle, fail) => {
        signal.addEventListener('abort', () => fail(signal.reason))
        waiting.push({ name, signal, settle, fail })
      })
    },
    /** Answers when the spec says so, and ignores cancellation. */
    stubborn(name = '') {
      const signal = callSignal()
      return new Promise((settle, fail) => waiting.push({ name, signal, settle, fail }))
    },
    hear(...items: unknown[]) {
      received.push(...items)
      return received.length
    },
    fail(message = 'failed'): never {
      throw new RangeError(message)
    },
    async failLater(message = 'failed later') {
      await null
      throw new RangeError(message)
    },
    echo: (value: unknown) => value,
    open: () => expose({ wait: root.wait, hear: root.hear, title: 'Notes', fail: root.fail }),
    *count(to: number) {
      for (let n = 0; n < to; n++) yield n
    }
  }
  return { root, waiting, heard: received }
}

const overs = [overMemory, overSocket] as const
type Faults = { error: Error; call: string | undefined }[]
/** An `onError` that records errors. */
const keep =
  (faults: Faults): CommonOptions['onError'] =>
  (error: unknown, { call }: ErrorContext) =>
    faults.push({ error: error as Error, call })

for (const over of overs) {
  /** Passes options to the serving side, with either helper. */
  const withHome = (home: CommonOptions) =>
    (over === overMemory ? { serving: home } : { server: home }) as Untyped
  const name = over.name

  t.test(`a timeout rejects at once and cancels the call at its owner, ${name}`, t => {
    const { root, waiting } = desk()
    return over(t, root, async ({ root, session }) => {
      await root.echo(0)
      const late: Untyped = await rejectionOf(Netref.with(root.wait, { timeout: 5 })('x'))
      t.equal(late.name, 'TimeoutError')
      t.equal(late.mayHaveRun, true, 'the call had been sent')
      t.ok(late instanceof DOMException)
      t.equal(late.message, 'root.wait("x"): no reply within 5 ms')
      t.match(late.stack, 'calls.spec.ts', 'its stack names the awaiting function')
      await waitUntil(() => waiting[0]?.signal.aborted === true)
      const { reason } = waiting[0]!.signal
      t.match(reason, { name: 'TimeoutError', message: late.message }, 'the reason is sent')
      await waitUntil(() => session.stats.pending === 0)

      t.equal(
        await Netref.with(root.echo, { timeout: 10_000 })(1),
        1,
        'a reply in time is an ordinary result'
      )
      const error = await rejectionOf(Netref.with(root.fail, { timeout: 10_000 })('no'))
      t.match(error, { name: 'RangeError', message: 'no' })
      const refused = await rejectionOf(Netref.with(root as Untyped, { timeout: 10_000 }).nothing())
      t.equal(refused.code, 'not-exposed')
    })
  })

  t.test(`a signal rejects at once with its reason and cancels the call at its owner, ${name}`, t => {
    const { root, waiting } = desk()
    return over(t, root, async ({ root, session }) => {
      const stop = new AbortController()
      const call = Netref.with(root.wait, { signal: stop.signal })('x')
      await waitUntil(() => waiting.length === 1)
      const reason = new RangeError('changed my mind')
      stop.abort(reason)
      t.equal(await rejectionOf(call), reason, 'locally it is the reason itself')
      await waitUntil(() => waiting[0]?.signal.aborted === true)
      t.match(waiting[0]!.signal.reason, { name: 'RangeError', message: 'changed my mind' })
      await waitUntil(() => session.stats.pending === 0)

      const { framesOut } = session.stats
      t.equal(await rejectionOf(Netref.with(root.wait, { signal: stop.signal })('y')), reason)
      await runEventLoop()
      t.equal(session.stats.framesOut, framesOut, 'a signal that has aborted: nothing is sent')
      t.equal(waiting.length, 1)

      const both = { signal: new AbortController().signal, timeout: 5 }
      t.equal((await rejectionOf(Netref.with(root.wait, both)())).name, 'TimeoutError')
      const first = { signal: AbortSignal.timeout(5), timeout: 10_000 }
      const error: Untyped = await rejectionOf(Netref.with(root.wait, first)())
      t.equal(error, first.signal.reason, 'the first of them counts')
    })
  })

  t.test(`callSignal returns the signal of the running call, ${name}`, t => {
    const { root, waiting } = desk()
    return over(t, root, async ({ root, session }) => {
      const stop = new AbortController()
      const [given, kept] = [Netref.with(root.wait, { signal: stop.signal })('given up'), root.wait('kept')]
      await waitUntil(() => waiting.length === 2)
      stop.abort()
      await rejectionOf(given)
      await waitUntil(() => waiting[0]?.signal.aborted === true)
      t.equal(waiting[1]!.signal.aborted, false, 'another call does not affect it')
      waiting[1]!.settle(1)
      t.equal(await kept, 1)
      await waitUntil(() => session.stats.pending === 0)
      t.throws(
        () => callSignal(),
        /callSignal\(\): no call of a peer is running here; call it before the first `await`/
      )
    })
  })

  t.test(`at the end of a session callSignal aborts and the call rejects, ${name}`, async t => {
    const { root, waiting } = desk()
    let ended: Session[] = []
    const home = { onError: keep([]) }
    await over(
      t,
      root,
      async (conn: Untyped) => {
        const sessions: Session[] = [conn.session]
        const calls = [
          conn.root.wait('plain'),
          Netref.with(conn.root.wait, { timeout: 60_000, signal: new AbortController().signal })('with'),
          Netref.with(conn.root.wait, { timeout: 60_000 })('chained').more(),
          Netref.oneway(conn.root.wait)('one way')
        ]
        await waitUntil(() => waiting.length === 4)
        void conn.close()
        for (const call of calls.slice(0, 3))
          t.match(await rejectionOf(call), { name: 'SessionEndedError', reason: { code: 'closed' } })
        await waitUntil(() => waiting.every(({ signal }) => signal.aborted))
        for (const { signal } of waiting) t.ok(signal.reason instanceof SessionEndedError)
        ended = sessions
      },
      withHome(home)
    )
    for (const { stats } of ended) t.equal(stats.pending, 0)
  })

  t.test(`a pipelined call cancelled before it starts does not run, ${name}`, t => {
    const { root, waiting, heard } = desk()
    return over(t, root, async ({ root: typed, session }) => {
      const root: Untyped = typed
      const stop = new AbortController()
      const slow = root.wait('slow')
      const call = Netref.with(slow.hear, { signal: stop.signal })('never')
      const onIt = call.length
      const other = slow.hear('runs')
      await waitUntil(() => waiting.length === 1)
      stop.abort(new Error('no more'))
      t.match(await rejectionOf(call), { message: 'no more' })
      t.match(await rejectionOf(onIt), { message: 'no more' }, 'nor do calls that depend on it')
      t.equal(session.stats.pending > 2, true, 'the replies are still pending')
      await runEventLoop()
      waiting[0]!.settle(expose({ hear: (...items: unknown[]) => heard.push(...items) }))
      t.equal(await other, 1)
      t.same(heard, ['runs'])
      await waitUntil(() => session.stats.pending === 0)
    })
  })

  t.test(`calls pipelined on a pending call inherit its options, ${name}`, t => {
    const { root, waiting } = desk()
    return over(t, root, async ({ root: typed, session }) => {
      const root: Untyped = typed
      await session.ping()
      const call = Netref.with(root.wait, { timeout: 20 })('slow')
      const [path, deeper] = [call.a.b, call.lines()]
      for (const late of [deeper, path, call, Netref.get(call, 'then'), Netref.has(call, 'x')])
        t.equal((await rejectionOf(late)).name, 'TimeoutError')
      await waitUntil(() => waiting[0]?.signal.aborted === true)
      await waitUntil(() => session.stats.pending === 0)
      const there = Netref.with(root.open, { timeout: 1 })()
      // The timer runs once more before the answer is late.
      await there.then(
        async () => t.equal(await there.title, 'Notes'),
        (error: Error) => t.equal(error.name, 'TimeoutError')
      )
    })
  })

  t.test(`cancelling an answered call has no effect, ${name}`, t => {
    const { root, waiting } = desk()
    return over(t, root, async ({ root, session }) => {
      const stop = new AbortController()
      const call = Netref.with(root.stubborn, { signal: stop.signal })('crossing')
      await waitUntil(() => waiting.length === 1)
      // The answer and the cancellation cross.
      waiting[0]!.settle('answered')
      stop.abort()
      const outcome: unknown = await call.catch((error: Error) => error.name)
      t.ok(outcome === 'AbortError' || outcome === 'answered')
      await session.ping()
      t.equal(waiting[0]!.signal.aborted, false, 'its signal can no longer be read')
      t.equal(session.stats.pending, 0)

      const done = new AbortController()
      t.equal(await Netref.with(root.echo, { signal: done.signal })('here'), 'here')
      const { framesOut } = session.stats
      done.abort()
      await runEventLoop()
      t.equal(session.stats.framesOut, framesOut, 'for a settled call no message is sent')
    })
  })

  t.test(`the answer of a cancelled call is ignored and its references are released, ${name}`, t => {
    const { root, waiting } = desk()
    const faults: Faults = []
    const away = { onError: keep(faults) }
    const joined = (over === overMemory ? away : { client: away }) as Untyped
    return over(
      t,
      root,
      async ({ root, session }) => {
        const give = async (answer: ({ settle, fail }: Waiting) => void) => {
          const stop = new AbortController()
          const count = waiting.length
          const call = Netref.with(root.stubborn, { signal: stop.signal })()
          await waitUntil(() => waiting.length > count)
          stop.abort()
          t.equal((await rejectionOf(call)).name, 'AbortError')
          answer(waiting.at(-1)!)
          await waitUntil(() => session.stats.pending === 0)
        }
        await give(({ settle }) => settle([() => {}, expose({}), Promise.resolve(1)]))
        await give(({ settle }) => settle({ list: [1], signal: new AbortController().signal }))
        await give(({ fail }) => fail(new Error('too late')))
        await give(({ fail }) => fail(Symbol('unsendable')))
        await give(({ settle }) => settle(Symbol('unsendable')))
        await collectGarbage(() => session.stats.imports === 0)
        t.same(faults, [], 'no failure is reported')
      },
      joined
    )
  })

  t.test(`abort reasons are sent as values; a reason that cannot be sent is omitted, ${name}`, t => {
    const { root, waiting } = desk()
    return over(t, root, async ({ root }) => {
      const told = async (reason: unknown) => {
        const stop = new AbortController()
        const count = waiting.length
        const call = Netref.with(root.wait, { signal: stop.signal })()
        await waitUntil(() => waiting.length > count)
        stop.abort(reason)
        t.equal(await rejectionOf(call), reason, 'locally it is the reason itself, sendable or not')
        const { signal } = waiting.at(-1)!
        await waitUntil(() => signal.aborted)
        return signal.reason
      }
      t.equal(await told('a word'), 'a word')
      t.same(await told({ code: 7, when: new Date(0) }), { code: 7, when: new Date(0) })
      t.match(await told(null), { name: 'AbortError' }, 'as an absent reason')
      const mine = expose({ why: () => 'because' })
      t.equal(await ((await told(mine)) as Untyped).why(), 'because', 'a reference is such a reason')
      t.ok((await told(new AbortController().signal)) instanceof AbortSignal)
      t.match(await told(Symbol('unsendable')), { name: 'AbortError' })
      t.match(
        await told([() => {}, 'x'.repeat(5 << 20)]),
        { name: 'AbortError' },
        'nor a reason that is too large'
      )
      waiting.length = 0
    })
  })

  t.test(`Netref.with applies options to every request through the view, ${name}`, t => {
    const { root, waiting } = desk()
    const home = { allowPublicAttrs: true, allowSetAttrs: true, allowDeleteAttrs: true }
    class Shelf {
      title = 'A'
      top = { label: 'x' }
      Book = class Book {
        constructor(readonly title: string) {}
      }
      wait(name: string) {
        return root.wait(name)
      }
      same(other: unknown) {
        return other === this
      }
    }
    const shelf = new Shelf()
    const offer = { ...root, shelf: () => shelf, shelves: () => [shelf] }
    return over(
      t,
      offer,
      async ({ root: typed, session }) => {
        const root: Untyped = typed
        const ref = await root.shelf()
        const { framesOut } = session.stats
        const view: Untyped = Netref.with(ref, { timeout: 10_000 })
        await runEventLoop()
        t.equal(session.stats.framesOut, framesOut, 'it sends nothing')
        t.equal(typeof view, 'object')
        t.equal(typeof Netref.with(root.open, {}), 'function')
        t.equal(typeof Netref.with(await root.echo, {}), 'function')
        t.equal(view.then, undefined, 'a view of a netref is not thenable')
        t.equal(await view, view)
        t.ok(Netref.is(view))
        t.notOk(Netref.is(Netref.with(root.open, {})), 'a view of a path is a path')
        t.equal(Netref.session(view), session)
        t.equal(String(view), String(ref))
        t.equal(await ref.same(view), true, 'a view sent as a value is its netref')
        t.equal(await ref.same(Netref.with(view, { timeout: 1 })), true)
        t.equal(await root.echo(view), ref)
        t.equal(await root.echo([{ view }]).then(([got]: [Untyped]) => got.view), ref)

        t.equal(await view.title, 'A', 'reading')
        t.equal(await view.top.label, 'x')
        t.equal(await view.same(view), true, 'calling')
        t.equal(await Netref.get(view, 'title'), 'A')
        t.equal(await Netref.has(view, 'title'), true)
        await Netref.set(view, 'title', 'B')
        t.equal(await ref.title, 'B')
        await Netref.set(view.top, 'label', 'y')
        t.equal(await Netref.get(view.top, 'label'), 'y')
        t.ok((await Netref.keys(view)).includes('title'))
        t.equal((await Netref.obtain<Untyped>(view)).title, 'B')
        const book = await new view.Book('constructed')
        t.equal(await book.title, 'constructed')
        await Netref.delete(view, 'title')
        t.equal(await Netref.has(view, 'title'), false)

        const short: Untyped = Netref.with(view, { timeout: 5 })
        t.equal((await rejectionOf(short.wait('a'))).name, 'TimeoutError', 'the inner options apply')
        const none: Untyped = Netref.with(short, { timeout: undefined })
        const untimed = none.wait('b')
        await waitUntil(() => waiting.length === 2)
        waiting[1]!.settle('in time')
        t.equal(await untimed, 'in time', 'undefined removes an option')
        const stop = new AbortController()
        const stopped = Netref.with(Netref.with(ref, { signal: stop.signal }), { timeout: 60_000 })
        const given = stopped.wait('c')
        await waitUntil(() => waiting.length === 3)
        stop.abort('enough')
        t.equal(await rejectionOf(given), 'enough', 'the options of both apply')
        t.equal(await rejectionOf(Netref.with(root, { signal: stop.signal }).shelf().title), 'enough')
        t.equal(await rejectionOf(Netref.set(stopped, 'title', 1)), 'enough')

        const pending: Untyped = Netref.with(root.shelf(), { timeout: 10_000 })
        t.equal(await pending.top.label, 'y', 'of a result')
        t.equal(await pending, ref)
        t.equal(await pending.finally(() => {}), ref, 'it has all methods of a promise')
        t.equal(await pending.catch(() => {}), ref)
        t.equal(await pending.same(ref), true)
        const failing: Untyped = Netref.with(root.fail('no'), {})
        t.equal(await failing.catch(({ message }: Error) => message), 'no')
        const listed = Netref.with(root.shelves(), { timeout: 10_000 })
        for await (const one of listed) t.equal(one, ref)

        {
          using disposed: Untyped = Netref.with(await root.open(), { timeout: 1000 })
          t.equal(await disposed.title, 'Notes')
          Netref.release(disposed)
          t.equal((await rejectionOf(disposed.title)).code, 'released')
        }
        await waitUntil(() => session.stats.pending === 0)
      },
      withHome(home)
    )
  })

  t.test(`Netref.oneway gets no reply, keeps the order, and reports failures at the owner, ${name}`, t => {
    const { root, heard } = desk()
    const faults: Faults = []
    return over(
      t,
      root,
      async ({ root, session }) => {
        const hear = Netref.oneway(root.hear)
        t.equal(await hear('one', { two: [2n] }), undefined)
        void hear('three')
        const count = root.hear('four')
        t.equal(await count, 4, 'messages are processed in the order they were sent')
        t.same(heard, ['one', { two: [2n] }, 'three', 'four'])

        await Netref.oneway(root.fail)('sync')
        await Netref.oneway(root.failLater)('async')
        await Netref.oneway((root as Untyped).nothing)()
        await Netref.oneway((root.open() as Untyped).fail)('on a result')
        const open: Untyped = await root.open()
        await Netref.oneway(open.fail)('on a netref')
        const base: Untyped = root.fail('base')
        await Netref.oneway(base.more)()
        await rejectionOf(base)
        await waitUntil(() => faults.length === 6)
        t.same(faults.map(({ error, call }) => [error.name, call]).sort(), [
          ['ExposureError', 'root.nothing()'],
          ['RangeError', '#2.fail()'],
          ['RangeError', 'answer of call 2.fail()'],
          ['RangeError', 'answer of call 4.more()'],
          ['RangeError', 'root.fail()'],
          ['RangeError', 'root.failLater()']
        ])
        t.match(
          faults.find(({ call }) => call === 'root.nothing()')?.error.message,
          /^root\.nothing\(\): "nothing"/
        )
        t.equal(session.stats.pending, 0)

        const self = await Netref.oneway(open.hear)(open, () => 1)
        t.equal(self, undefined)
        await root.hear()
        t.equal(await (heard.at(-1) as Untyped)(), 1, 'a callback that was passed stays valid')
        heard.length = 0
        faults.length = 0
      },
      withHome({ onError: keep(faults) })
    )
  })

  t.test(`Netref.oneway rejects locally if an argument cannot be sent, ${name}`, t => {
    const { root, heard } = desk()
    return over(t, root, async ({ root, session }) => {
      const error = await rejectionOf(Netref.oneway(root.hear)(() => {}, Symbol('no')))
      t.ok(error instanceof UnsendableError)
      t.match(error.message, 'Netref.oneway(root.hear)(ƒ, Symbol(no)): args[1] is Symbol(no)')
      const large = await rejectionOf(Netref.oneway(root.hear)('x'.repeat(5 << 20), expose({})))
      t.equal(large.code, 'limit')
      t.equal(session.stats.exports, 0, 'no reference stays exported')
      using open: Untyped = await root.open()
      Netref.release(open)
      t.equal((await rejectionOf(Netref.oneway(open.hear)(1))).code, 'released')
      const stop = AbortSignal.abort('enough')
      t.equal(await rejectionOf(Netref.oneway(Netref.with(root.hear, { signal: stop }))(1)), 'enough')
      await root.echo(1)
      t.same(heard, [])
      t.throws(() => Netref.oneway((() => {}) as Untyped), /Netref\.oneway: a local function is not a netref/)
    })
  })

  t.test(`Netref.obtain copies what the owner lets the peer read, ${name}`, t => {
    let reads = 0
    const author = expose({ name: 'Ada', greet: () => 'hello' })
    const book = {
      title: 'Notes',
      _draft: true,
      author,
      tags: ['a', 'b'],
      when: new Date(0),
      get pages() {
        return ++reads
      },
      read() {
        return 'page one'
      }
    }
    class Shy {
      exposed_name = 'shy'
      get exposed_age() {
        return 7
      }
      secret = 1
      exposed_say() {}
    }
    const root = expose({
      book: expose(book),
      part: expose({ ...book }, { read: ['title', 'read'] }),
      shy: () => new Shy(),
      data: { list: [1, { fn: () => 2 }], none: {} },
      broken: expose({
        get fails() {
          throw new RangeError('broken')
        }
      }),
      nothing: null
    })
    return over(t, root, async ({ root: typed }) => {
      const root: Untyped = typed
      const obtain: Untyped = Netref.obtain
      const copy = await obtain(root.book)
      t.same(Object.keys(copy).sort(), ['author', 'pages', 'tags', 'title', 'when'])
      t.equal(reads, 2, 'a getter runs once here, and once above for the copy')
      t.same([copy.title, copy.tags, copy.when], ['Notes', ['a', 'b'], new Date(0)])
      t.ok(Netref.is(copy.author), 'a reference stays one')
      t.equal(await copy.author.greet(), 'hello')
      t.same(await obtain(copy.author), { name: 'Ada' })
      t.same(await obtain(root.part), { title: 'Notes' }, 'the listed members, and no functions')
      t.same(await obtain(root.shy()), { name: 'shy', age: 7 })
      t.same(await obtain(await root.shy()), { name: 'shy', age: 7 })
      const data = await obtain(root.data)
      t.same(data.none, {})
      t.equal(await data.list[1].fn(), 2)
      t.equal((await obtain(root.data.list))[0], 1, 'an array that is data is copied')
      t.match(await rejectionOf(obtain(root.broken)), { name: 'RangeError', message: 'broken' })
      t.match(await rejectionOf(obtain(root.book.when)), { code: 'not-exposed' })
      t.match(
        (await rejectionOf(obtain(root.nowhere))).message,
        /^Netref\.obtain\(root\.nowhere\): "nowhere" is not exposed/
      )
      t.equal((await rejectionOf(obtain({}))).name, 'TypeError')
      t.equal((await rejectionOf(obtain(root.nothing))).code, 'not-exposed')
    })
  })

  t.test(`collections passed by reference, ${name}`, t => {
    const list = expose([1, 2, 3])
    const map = expose(new Map<string, unknown>([['a', 1]]))
    const set = expose(new Set(['x']))
    const inside = expose({ name: 'one' })
    const root = expose({
      list: () => list,
      map: () => map,
      set: () => set,
      mixed: () => expose([inside, [inside]]),
      some: () => expose(['a', 'b'], { read: ['length', 0] }),
      walk: () => expose(['a', 'b'], { read: ['length', Symbol.iterator], write: [0] }),
      writable: () => expose(['a', 'b'], { write: [0, 1, 'length'] }),
      subclass: () => expose(new (class Bag extends Set<number> {})([1, 2])),
      hidden: () => new (class Bag extends Set<number> {})([1])
    })
    return over(t, root, async ({ root: typed, session }) => {
      const root: Untyped = typed
      const walked = async (of: Untyped) => {
        const items: Untyped[] = []
        for await (const item of of) items.push(item)
        return items
      }
      const [a, m, s] = await Promise.all([root.list(), root.map(), root.set()])
      t.ok([a, m, s].every(Netref.is))
      t.same([await a[1], await a.length, await a.push(4), await a.length], [2, 3, 4, 4])
      t.same([await a.at(-1), await a.includes(3), await a.indexOf(9)], [4, true, -1])
      t.same(await a.slice(1, 3), [2, 3], 'its result is a copy')
      t.same(list, [1, 2, 3, 4], 'it is the same array')
      t.same(await walked(a), [1, 2, 3, 4])
      t.same(await Netref.obtain(a), [1, 2, 3, 4])
      t.same(await walked(root.list()), [1, 2, 3, 4], 'also on the path to it')
      t.same(await Netref.obtain(root.list()), [1, 2, 3, 4])
      t.same(await walked(Netref.with(a, { window: 1 })), [1, 2, 3, 4])
      t.equal(await root.list(), a)

      t.same([await m.size, await m.get('a'), await m.has('b')], [1, 1, false])
      t.equal(await m.set('b', () => 'called'), m)
      t.equal(typeof map.get('b'), 'function')
      t.same([await m.size, await m.delete('a'), await m.size], [2, true, 1])
      const back = (await walked(m))[0]
      t.equal(back[0], 'b')
      t.equal(back[1](), 'called', 'the owner receives the original')
      t.equal((await Netref.obtain<Untyped>(m)).get('b'), back[1])
      t.same(await walked(m.keys()), ['b'])

      t.same([await s.has('x'), await s.add('y').size, await s.size], [true, 2, 2])
      t.same([...(await Netref.obtain<Untyped>(s))], ['x', 'y'])
      t.same(await walked(s), ['x', 'y'])

      const [first, [second]] = await Netref.obtain<Untyped>(root.mixed())
      t.equal(first, second, 'each item is passed by its own rule')
      t.equal(await first.name, 'one')

      const some = await root.some()
      t.same([await some.length, await some[0]], [2, 'a'])
      t.equal(
        (await rejectionOf(some[1])).code,
        'not-exposed',
        'the operation is not exposed with a list of names'
      )
      t.equal((await rejectionOf(some.push('c'))).code, 'not-exposed')
      t.equal((await rejectionOf(walked(some))).code, 'not-exposed', 'a loop over it adds one reference')
      t.same(await Netref.obtain(some), { 0: 'a', length: 2 })
      const walk = await root.walk()
      t.same(await walked(walk), ['a', 'b'])
      t.equal(
        (await rejectionOf(Netref.set(walk, 0, 'x'))).code,
        'not-exposed',
        'a member must be readable to be written'
      )

      const writable = await root.writable()
      await Netref.set(writable, 0, 'z')
      await Netref.set(writable, 'length', 1)
      t.same(await Netref.obtain(writable), ['z'])
      t.equal((await rejectionOf(Netref.set(a, 0, 9))).code, 'not-exposed')
      t.same((await Netref.keys(writable)).includes('push'), true)

      t.same(await walked(root.subclass()), [1, 2])
      t.same(await Netref.obtain(root.subclass()), new Set([1, 2]))
      const hidden = await root.hidden()
      t.equal((await rejectionOf(walked(hidden))).code, 'not-exposed')
      t.same(await Netref.obtain(hidden), {})
      t.equal((await rejectionOf(walked(root.list))).name, 'ExposureError', 'a function is not a collection')
      list.length = 3
      map.clear()
      map.set('a', 1)
      set.delete('y')
      await waitUntil(() => session.stats.pending === 0)
    })
  })

  t.test(`an object whose iterator is exposed can be iterated, ${name}`, t => {
    class Steps {
      #n = 0
      next() {
        return this.#n < 3 ? { done: false, value: this.#n++ } : { done: true, value: undefined }
      }
    }
    class Numbers {
      @exposed [Symbol.iterator]() {
        return new Steps() as unknown as Iterator<number>
      }
    }
    class Later {
      @exposed async *[Symbol.asyncIterator]() {
        yield* [1, 2]
      }
      *[Symbol.iterator]() {
        yield 'not this one'
      }
    }
    class Hidden {
      *[Symbol.iterator]() {
        yield 1
      }
    }
    class Failing {
      @exposed [Symbol.iterator](): Iterator<number> {
        throw new RangeError('no steps')
      }
    }
    const root = {
      numbers: () => new Numbers(),
      later: () => new Later(),
      hidden: () => new Hidden(),
      failing: () => new Failing(),
      listed: () => expose(new Hidden(), { read: [Symbol.iterator] }),
      nothing: () => 7
    }
    return over(t, root, async ({ root: typed }) => {
      const root: Untyped = typed
      const walked = async (of: Untyped) => {
        const items: unknown[] = []
        for await (const item of of) items.push(item)
        return items
      }
      t.same(await walked(await root.numbers()), [0, 1, 2])
      t.same(await walked(root.later()), [1, 2])
      t.same(await walked(root.listed()), [1])
      t.equal((await rejectionOf(walked(root.hidden()))).code, 'not-exposed')
      t.match(await rejectionOf(walked(root.failing())), { name: 'RangeError', message: 'no steps' })
      t.match(await rejectionOf(walked(root.nothing())), {
        name: 'TypeError',
        message: /the result is not iterable/
      })
    })
  })
}

t.test('invalid options, and values that are not netrefs, throw and are named', t =>
  overMemory(t, desk().root, async ({ root }) => {
    const wrong = (options: Untyped, message: string) =>
      t.throws(() => Netref.with(root, options), new TypeError(message))
    wrong({ signal: {} }, 'Netref.with: `signal` must be an AbortSignal, not {…}')
    const ms = 'Netref.with: `timeout` must be a time in ms, of up to 2147483647, or Infinity, not '
    for (const [timeout, said] of [
      [-1, '-1'],
      [Number.NaN, 'NaN'],
      ['5', '"5"'],
      [2 ** 31, '2147483648']
    ] as const)
      wrong({ timeout }, ms + said)
    for (const window of [0, 1.5, Infinity])
      wrong({ window }, `Netref.with: \`window\` must be a whole number above 0, not ${window}`)
    t.throws(() => Netref.with({} as Untyped, {}), /Netref\.with: \{…\} is not a netref/)
    t.equal(
      (await rejectionOf(Netref.with(root.wait, { timeout: 0 })())).name,
      'TimeoutError',
      'no time at all'
    )
  })
)

t.test('a one-way call is one message without an answer', t =>
  overMemory(t, desk().root, async conn => {
    await conn.root.echo(1)
    const [out, back] = recordMessages(conn)
    await Netref.oneway(conn.root.hear)('x')
    await runEventLoop()
    t.same(out, [[Op.oneway, 0, 0, 'hear', ['x']]])
    t.same(back, [])
  })
)

t.test('cancelling a call sends one more message', t => {
  const { root, waiting } = desk()
  return overMemory(t, root, async conn => {
    await conn.root.echo(1)
    const [out] = recordMessages(conn)
    const stop = new AbortController()
    const call = Netref.with(conn.root.wait, { signal: stop.signal })()
    await waitUntil(() => waiting.length === 1)
    stop.abort('why')
    t.equal(await rejectionOf(call), 'why')
    await waitUntil(() => waiting.length === 1 && waiting[0]!.signal.aborted)
    t.same(out, [
      [Op.call, 2, 0, 'wait', []],
      [Op.cancel, 2, 'why']
    ])
    t.equal(waiting[0]!.signal.reason, 'why')
  })
})

t.test(
  'one-way calls get back-pressure when the transport is full, and reject when the session ends',
  async t => {
    const { root, heard } = desk()
    await overMemory(t, root, async conn => {
      const { transports, root, session } = conn
      await root.echo(1)
      await runEventLoop()
      const hear = Netref.oneway(root.hear)
      transports[0].hold()
      const states: string[] = []
      const text = 'x'.repeat(400_000)
      const calls = [1, 2, 3, 4].map(n => hear(text).then(() => states.push(`${n}`)))
      await runEventLoop()
      t.same(states, ['1', '2'], 'a call within the limit resolves')
      t.ok(session.stats.buffered > 1_000_000)
      t.same(heard, [])
      transports[0].letGo()
      await Promise.all(calls)
      t.same(states, ['1', '2', '3', '4'])
      await root.echo(1)
      t.equal(heard.length, 4)
    })
    const joined = pair(desk().root)
    await joined.root.echo(1)
    joined.transports[0].hold()
    const hear = Netref.oneway(joined.root.hear)
    const calls = [1, 2, 3, 4].map(() => hear('x'.repeat(400_000)))
    await runEventLoop()
    void joined.close()
    t.match(await rejectionOf(calls[3]!), {
      name: 'SessionEndedError',
      message: /^Netref\.oneway\(root\.hear\)\("x+…"\): /
    })
    t.match(await rejectionOf(hear(1)), { name: 'SessionEndedError' }, 'and at once afterwards')
    joined.transports[0].letGo()
    await joined.session.closed
    await assertClean(t, joined.session, joined.served)
  }
)

t.test('one-way calls count as pending, and those beyond the limits are reported at the owner', async t => {
  const { root, waiting } = desk()
  const faults: Faults = []
  const serving = { limits: { pendingCalls: 2 }, onError: keep(faults) }
  await overMemory(
    t,
    root,
    async ({ root, served }) => {
      for (const name of ['a', 'b', 'c']) await Netref.oneway(root.wait)(name)
      await waitUntil(() => waiting.length === 2 && faults.length === 1)
      t.equal(faults[0]!.call, 'root.wait()')
      t.match(faults[0]!.error, { code: 'limit', message: /^root\.wait\(\): 2 calls are pending/ })
      t.equal((await rejectionOf(root.echo(1))).code, 'limit', 'no other call is accepted either')
      for (const { settle } of waiting) settle(1)
      await runEventLoop()
      t.equal(await root.echo(1), 1)
      // A call that waits for an answer counts once.
      const slow: Untyped = root.stubborn()
      await Netref.oneway(slow.hear)('x')
      await runEventLoop()
      t.equal(faults.length, 1)
      waiting.at(-1)!.settle(expose({ hear() {} }))
      await slow
      await served.ping()
    },
    { serving }
  )
})

t.test('one-way calls of local functions, and of functions that a peer passes on', async t => {
  const { root, heard } = desk()
  const faults: Faults = []
  await overMemory(
    t,
    root,
    async ({ root: typed }) => {
      const root: Untyped = typed
      const mine = root.echo((word: string) => heard.push(word))
      await mine
      t.equal(await Netref.oneway(mine)('home'), undefined, 'a function returned to its owner')
      t.same(heard.splice(0), ['home'])

      // The middle passes on a netref of another session.
      await overMemory(t, { far: () => root, fn: () => root.hear }, async middle => {
        const far: Untyped = await (middle.root as Untyped).far()
        await Netref.oneway(far.hear)('far')
        await Netref.oneway(far.fail)('far failure')
        await waitUntil(() => faults.length === 1)
        t.equal(faults[0]!.call, 'root.fail()', 'its owner gets the error, not the peer that passed it on')
        t.same(heard.splice(0), ['far'])
      })
    },
    { serving: { onError: keep(faults) } }
  )
})

t.test('cancellation, and the end of a session, reach the owner through a third party', async t => {
  const { root, waiting } = desk()
  await overMemory(t, root, async ({ root: far, session }) => {
    const offer = expose({ far: () => far, fn: far.wait, walk: () => expose({ go: 1 }) })
    const middle = pair(offer)
    const near: Untyped = await (middle.root as Untyped).far()
    const stop = new AbortController()
    const view: Untyped = Netref.with(near, { signal: stop.signal })
    const calls = [view.wait('a'), Netref.with((middle.root as Untyped).fn, { signal: stop.signal })('b')]
    await waitUntil(() => waiting.length === 2)
    stop.abort(new RangeError('enough'))
    for (const call of calls) t.match(await rejectionOf(call), { message: 'enough' })
    await waitUntil(() => waiting.every(({ signal }) => signal.aborted))
    for (const { signal } of waiting) t.match(signal.reason, { name: 'RangeError', message: 'enough' })

    const last = near.wait('c')
    await waitUntil(() => waiting.length === 3)
    await middle.close()
    t.match(await rejectionOf(last), { name: 'SessionEndedError' })
    await waitUntil(
      () => waiting[2]!.signal.aborted,
      'the far call is given up with the session in the middle'
    )
    await assertClean(t, middle.session, middle.served)
    await waitUntil(() => session.stats.pending === 0)
  })
})

t.test('a view that was passed on combines its options with those of the call', async t => {
  const { root, waiting } = desk()
  await overMemory(t, root, async ({ root: far, session }) => {
    const impatient = { go: Netref.with(far.wait, { timeout: 5 }) }
    await overMemory(t, impatient, async ({ root }) => {
      t.equal((await rejectionOf((root as Untyped).go('x'))).name, 'TimeoutError')
    })
    await waitUntil(() => waiting[0]?.signal.aborted === true && session.stats.pending === 0)
  })
})

t.test('accessors that abort the signal or end the session during encoding', async t => {
  const { root, waiting, heard } = desk()
  await overMemory(t, root, async ({ root, session }) => {
    const stop = new AbortController()
    const aborting = {
      get now() {
        stop.abort('in the midst')
        return 1
      }
    }
    t.equal(await rejectionOf(Netref.with(root.hear, { signal: stop.signal })(aborting)), 'in the midst')
    await waitUntil(() => session.stats.pending === 0)
    t.same(heard, [], 'the call had not been sent')
  })
  const joined = pair(root)
  const stop = new AbortController()
  const call = Netref.with(joined.root.wait, { signal: stop.signal })()
  await waitUntil(() => waiting.length === 1)
  const reason = {
    ref: () => {},
    get now() {
      void joined.close()
      return 1
    }
  }
  stop.abort(reason)
  t.equal(await rejectionOf(call), reason, 'the first reason')
  await joined.session.closed
  await assertClean(t, joined.session, joined.served)
  const broken = {
    get now() {
      void joined.close()
      throw new Error('broken')
    }
  }
  const again = pair(root)
  const other = new AbortController()
  const unanswered = Netref.with(again.root.wait, { signal: other.signal })()
  await waitUntil(() => waiting.length === 2)
  other.abort(broken)
  t.equal(await rejectionOf(unanswered), broken)
  await again.close()
  await assertClean(t, again.session, again.served)
})

t.test('a call is not retried through a forwarded netref: it may have run', async t => {
  const conn = pair({ open: (far: unknown) => expose({ far }) })
  const [, back] = recordMessages(conn as Untyped)
  const there = await (conn.root as Untyped).open(expose({ x: 1 }))
  const [ours] = conn.transports
  ours.send(
    JSON.stringify([
      conn.served.stats.framesOut,
      [
        [Op.retry, Op.call, 2, 1, ['far', 'x'], []],
        [Op.retry, Op.delete, 3, 1, 'far']
      ]
    ])
  )
  await waitUntil(() => back.filter(([op]) => op === Op.refused).length === 2)
  t.match(back.slice(-2), [
    [Op.refused, 2, 'may-have-run', /"x" may have run/],
    [Op.refused, 3, 'may-have-run', /"far" may have run/]
  ])
  t.ok(there)
  await conn.close()
})

t.test('one signal for many calls causes no warning and keeps no listener', async t => {
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  await overMemory(t, desk().root, async ({ root }) => {
    const stop = new AbortController()
    const many = Netref.with(root.wait, { signal: stop.signal })
    const calls = Array.from({ length: 20 }, (_, i) => rejectionOf(many(String(i))))
    t.equal(getEventListeners(stop.signal, 'abort').length, 1)
    stop.abort(new Error('enough'))
    t.ok((await Promise.all(calls)).every(({ message }) => message === 'enough'))
    t.equal(getEventListeners(stop.signal, 'abort').length, 0)
  })
  await new Promise(setImmediate)
  t.same(warnings, [])
})

t.test('callSignal is aborted in a handler that has ended its session', async t => {
  let signal: AbortSignal | undefined
  const root = {
    leave() {
      void callSession().close()
      signal = callSignal()
    }
  }
  const conn = pair(root)
  await rejectionOf(conn.root.leave())
  t.equal(signal?.aborted, true)
  t.ok(signal?.reason instanceof SessionEndedError)
  await assertClean(t, conn.session, conn.served)
})

t.test('callSignal belongs to the call that is starting, also when calls nest', t => {
  const carrier = (name: string) => {
    const by = {
      session: {} as ReportingSession,
      get weakRef() {
        return new WeakRef(by)
      },
      signalOf: (id: number) => AbortSignal.abort(`${name} ${id}`),
      isSettled: () => true
    }
    return by
  }
  runInCall(carrier('outer'), 1, () => {
    t.equal(callSignal().reason, 'outer 1')
    runInCall(carrier('inner'), 2, () => t.equal(callSignal().reason, 'inner 2'))
    t.equal(callSignal().reason, 'outer 1')
  })
  t.throws(callSignal)
  t.end()
})

t.test('a hostile cancellation: of an unknown call, or with an unreadable reason', async t => {
  const { root, waiting } = desk()
  const say = async (message: string) => {
    const conn = pair(root)
    await conn.root.echo(1)
    void conn.root.wait().catch(() => {})
    await runEventLoop()
    const [client] = conn.transports
    const send = client.send.bind(client)
    client.send = (frame, sent) => send(String(frame).replace('[14,0,0,"hear",[]]', message), sent)
    await Netref.oneway(conn.root.hear)()
    await runEventLoop()
    return conn
  }
  const never = await say(`[${Op.cancel},3]`)
  t.match(await never.closed, { code: 'protocol' })
  t.match((await never.served.closed).message, /a cancellation of call 3, which was not made/)
  const unknown = await say(`[${Op.cancel},2,"x",[["no-kind",[]]]]`)
  t.match(await unknown.closed, { code: 'protocol' })
  const released = await say(`[${Op.cancel},1,"x",[["Date",[]]]]`)
  t.equal(await released.root.echo(2), 2, 'for an answered call it has no effect')
  waiting.length = 0
  const unreadable = await say(`[${Op.cancel},2,["x"],[[["custom","NoSuchType"],[]]]]`)
  t.equal(waiting[0]?.signal.aborted, true, 'a reason that cannot be read is omitted')
  t.match(waiting[0]?.signal.reason, { name: 'AbortError' })
  waiting.length = 0
  const twice = await say(`[${Op.cancel},2,"once"],[${Op.cancel},2,"again"]`)
  t.equal(waiting[0]?.signal.reason, 'once', 'the call is cancelled once')
  for (const conn of [never, unknown, released, unreadable, twice]) {
    await conn.close()
    await assertClean(t, conn.session, conn.served)
  }
})

t.test('stream calls on a result that is not a stream reject', t =>
  overMemory(t, desk().root, async ({ session }) => {
    const { base } = handlerOf(session.root)!
    for (const path of ['next', 'echo', []])
      t.equal((await rejectionOf(base.request(Op.streamCall, path, 1).settled())).code, 'not-exposed')
    const answer = base.request(Op.call, 'open', [])
    for (const path of ['title', 'next', []])
      t.equal((await rejectionOf(answer.request(Op.streamCall, path, 1).settled())).code, 'not-exposed')
  })
)

t.test('a loop of one-way calls yields to other work', t => {
  const { root, heard } = desk()
  return overMemory(t, root, async ({ root, session }) => {
    await root.echo(1)
    const hear = Netref.oneway(root.hear)
    const { framesOut } = session.stats
    for (let n = 0; n < 2000; n++) await hear('x'.repeat(100))
    t.ok(session.stats.framesOut > framesOut + 2, 'its messages leave while it runs')
    await root.echo(1)
    t.equal(heard.length, 2000)
  })
})
