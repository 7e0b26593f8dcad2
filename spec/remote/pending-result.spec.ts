import { runInThisContext } from 'node:vm'
import t from 'tap'
import {
  callSession,
  type ErrorContext,
  Netref,
  pair,
  registerError,
  Service,
  type Session
} from '../../lib/index.js'
import { overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

/** Throws in a file that occurs nowhere else, so that a stack that crossed is visible. */
const throwRemotely: (message: string) => never = runInThisContext(
  '(function thrower(message) { throw new RangeError(message) })',
  { filename: '/home/of/the/service.js' }
)

class Link {
  constructor(readonly exposed_length: number) {}
  exposed_next() {
    return new Link(this.exposed_length + 1)
  }
  async exposed_later() {
    await null
    return this.exposed_next()
  }
}

class Chain extends Service {
  calls: string[] = []
  exposed_log() {
    return this.calls
  }
  exposed_start() {
    this.calls.push('start')
    return new Link(0)
  }
  async exposed_slow(value: unknown) {
    this.calls.push('slow')
    await null
    return value
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_getFn() {
    return (n: number) => n * 2
  }
  exposed_data() {
    return {
      list: [1, { deep: 'x' }],
      fn: () => 'called',
      broken: () => throwRemotely('x'),
      who: {
        name: 'I',
        is() {
          return this.name
        }
      }
    }
  }
  exposed_fail(message: string) {
    return throwRemotely(message)
  }
  async exposed_failLater(message: string) {
    await null
    return throwRemotely(message)
  }
}

for (const over of [overMemory, overSocket]) {
  t.test(`a result is used before it is there, ${over.name}`, t =>
    over(t, Chain, async conn => {
      const root: Untyped = conn.root
      t.equal(await root.start().next().next().length, 2)
      t.equal(await root.start().later().next().later().next().length, 4)
      t.equal(await root.getFn()(5), 10, 'a pending function')
      t.equal(await root.slow(() => 1)(), 1, 'a local function that is being sent back')
      t.equal(await root.data().list[1].deep, 'x')
      t.equal(await root.data().fn(), 'called')
      t.equal(await root.data().who.is(), 'I')
      t.equal(await Netref.has(root.data(), 'list'), true)
      const [a, b, c] = await Promise.all([root.start().length, root.slow(1), root.start().next().length])
      t.same([a, b, c], [0, 1, 1])
    })
  )

  t.test(`what fails has every call that builds on it fail, ${over.name}`, t =>
    over(t, Chain, async conn => {
      const root: Untyped = conn.root
      for (const failing of [root.fail('no'), root.failLater('no')]) {
        const built = [
          failing.x,
          failing.x(),
          new failing.X(),
          failing(),
          Netref.set(failing, 'x' as never, 1 as never)
        ]
        for (const call of [failing, ...built])
          t.match(await rejectionOf(call), { name: 'RangeError', message: 'no' })
        // The result has arrived: nothing is sent from here on.
        const late = [failing.x, failing.x(), new failing.X(), failing().then(), Netref.has(failing, 'x')]
        for (const call of late) t.match(await rejectionOf(call), { name: 'RangeError', message: 'no' })
      }
      t.match(await rejectionOf(root.nope().x()), {
        code: 'not-exposed',
        message: /^root\.nope\(\)\.x\(\): "nope"/
      })
      const caught: unknown[] = []
      t.equal(await root.fail('a').catch((error: Error) => caught.push(error.message)), 1)
      t.equal(await root.echo(1).catch(() => caught.push('never')), 1)
      t.equal(await root.echo(2).finally(() => caught.push('last')), 2)
      await rejectionOf(root.fail('b').finally(() => caught.push('at last')))
      t.equal(
        await root.fail('c').then(
          () => caught.push('never'),
          (error: Error) => error.message
        ),
        'c'
      )
      await rejectionOf(Promise.all([root.echo(1), root.fail('d')]))
      t.same(caught, ['a', 'last', 'at last'])
    })
  )
}

t.test('a chain of ten calls is one round trip, and its messages leave before any reply', t =>
  overMemory(t, Chain, async conn => {
    const root: Untyped = conn.root
    await conn.ping()
    await runEventLoop()
    const [, server] = conn.transports
    const [out] = recordMessages(conn)
    server.hold()
    const { framesOut } = conn.stats
    let link = root.start()
    for (let i = 0; i < 8; i++) link = i % 2 ? link.later() : link.next()
    const end = link.length.then()
    await runEventLoop()
    t.equal(out.length, 10)
    t.ok(conn.stats.framesOut - framesOut <= 2)
    t.ok(server.held >= 1, 'all calls are answered without another message from this side')
    server.letGo()
    t.equal(await end, 8)
    t.equal(out.length, 10)
  })
)

t.test('a result that has arrived continues from its value: a netref by its id, a copy locally', t =>
  overMemory(t, Chain, async conn => {
    const root: Untyped = conn.root
    const start = root.start()
    await start
    const data = root.data()
    await data
    const [out] = recordMessages(conn)
    t.equal(await start.next().length, 1)
    t.ok((out[0]![2] as number) > 0, 'by the id of the netref, not that of the call')
    t.equal(await start.length, 0)
    t.equal(await Netref.has(start, 'length'), true)
    const before = out.length
    t.equal(await data.list[1].deep, 'x')
    t.equal(await data.list.length, 2)
    t.same(await Netref.keys(data), ['list', 'fn', 'broken', 'who'])
    t.equal(await Netref.has(data, 'list'), true)
    t.equal(out.length, before, 'a copy is read locally')
    t.equal(await data.fn(), 'called', 'a netref in it is called at its owner')
    t.equal(await data.who.is(), 'I')
    t.equal(out.length, before + 2)

    const gone = await rejectionOf(data.nope)
    t.match(gone, {
      name: 'ExposureError',
      code: 'not-exposed',
      message: /^result\.nope: "nope" is not exposed/
    })
    t.match(await rejectionOf(data()), { code: 'not-callable', message: /^result\(\): it is not a function/ })
    t.match(await rejectionOf(Netref.set(data, 'list' as never, 1 as never)), { code: 'not-exposed' })

    const own = {
      async half(n: number) {
        await null
        if (n % 2) throw new Error('odd')
        return n / 2
      }
    }
    const home = root.echo([own.half, { own }])
    await home
    t.equal(await home[0](8), 4, 'a received original is used locally')
    t.equal(await home[1].own.half(2), 1)
    t.equal(out.length, before + 3)
    t.match(await rejectionOf(home[0](1)), { message: 'odd' })
    const thrown = new Error('at once')
    const throwing = root.echo([
      () => {
        throw thrown
      }
    ])
    await throwing
    t.equal(await rejectionOf(throwing[0]()), thrown)
  })
)

t.test('a result that arrives between two uses serves both', t =>
  overMemory(t, Chain, async conn => {
    const root: Untyped = conn.root
    await conn.ping()
    const [client, server] = conn.transports
    server.hold()
    const start = root.start()
    await waitUntil(() => server.held > 0)
    client.hold()
    const late = start.next().length.then()
    server.letGo()
    await start
    const later = start.length.then()
    client.letGo()
    t.same(await Promise.all([late, later]), [1, 0], 'its answer was kept until the acknowledgement')
    const slow = root.slow(new Link(5))
    t.same(await root.log(), ['start', 'slow'])
    await conn.ping()
    t.equal((await slow).exposed_length, 5)
    t.match(await rejectionOf(root.echo(5).toFixed()), { code: 'not-exposed', message: /await it first/ })
  })
)

t.test('calls nest fifty deep, back and forth; each side may call the other', t => {
  const sessions: Session[] = []
  class Deep extends Service {
    session: Session | undefined
    override onConnect(session: Session) {
      this.session = session
    }
    exposed_isServed() {
      return callSession() === this.session
    }
    exposed_down(n: number, up: Untyped) {
      return n === 0 ? 'bottom' : up(n - 1)
    }
  }
  class Client extends Service {
    exposed_down(n: number): unknown {
      return n === 0 ? 'bottom' : (sessions[1]!.root as Untyped).up(n - 1)
    }
    exposed_up(n: number): unknown {
      return n === 0 ? 'bottom' : (sessions[0]!.root as Untyped).down(n - 1)
    }
  }
  return overMemory(
    t,
    Deep,
    async conn => {
      t.equal(await (conn.root as Untyped).isServed(), true, 'a handler gets the session of its caller')
      const up = (n: number): unknown => (n === 0 ? 'bottom' : (conn.root as Untyped).down(n - 1, up))
      t.equal(await up(50), 'bottom', 'by callbacks')
      sessions.push(conn.session, conn.session)
      t.equal(await (conn.served.root as Untyped).down(0), 'bottom', 'the server calls the client on its own')
      t.match(await rejectionOf((conn.served.root as Untyped).no.such()), {
        message: /^root\.no\.such\(\): /
      })
    },
    { service: Client }
  )
})

t.test('the local stack of a rejected call names the awaiting function, and the line', async t => {
  let line = 0
  const next = () => (line = Number(/:(\d+):\d+\)?$/.exec(new Error().stack!.split('\n')[2]!)![1]) + 1)
  for (const exposeStacks of [false, true]) {
    await overMemory(
      t,
      Chain,
      async conn => {
        const root: Untyped = conn.root
        const awaiting = {
          async aCall() {
            next()
            await root.fail('x')
          },
          async aLaterCall() {
            next()
            await root.failLater('x')
          },
          async aPathRead() {
            next()
            await root.no.such.member
          },
          async aChain() {
            next()
            await root.fail('x').one.two()
          },
          async aRefusedCall() {
            next()
            await root.nope()
          },
          async anUnsendableArgument() {
            next()
            await root.echo(Symbol('x'))
          },
          async aReleasedNetref() {
            const ref = await root.start()
            Netref.release(ref)
            next()
            await ref.next()
          },
          async aConstruction() {
            next()
            await new root.Nope()
          },
          async anOperation() {
            next()
            await Netref.set(root, 'x' as never, 1 as never)
          },
          async whatFailedBefore() {
            const failed = root.fail('x')
            await conn.ping()
            next()
            await failed.x.y()
          },
          async aNetrefInACopy() {
            const data = root.data()
            await data
            next()
            await data.broken()
          },
          async aCopy() {
            const data = root.data()
            await data
            next()
            await data.no.such
          }
        }
        for (const [name, use] of Object.entries(awaiting)) {
          const { stack } = await rejectionOf(use())
          const [local, remote] = stack!.split('\n  --- on the other side ---\n')
          const [first, frame] = local!.split('\n')
          t.match(first, /^(RangeError|ExposureError|UnsendableError|ReleasedError|TypeError): /)
          t.match(
            local,
            new RegExp(`at async ${name} \\(.*result\\.spec\\.[jt]s:${line}:`),
            `${name}: ${frame}`
          )
          t.notMatch(local, 'service.js')
          t.notMatch(local, '/lib/', 'no frame is of netref')
          if (!exposeStacks) t.equal(remote, undefined)
          else if (first!.startsWith('RangeError'))
            t.match(remote, /^RangeError: x\n +at thrower \(\/home\/of\/the\/service\.js/)
        }
        async function all() {
          await Promise.all([root.echo(1), root.fail('x')])
        }
        async function allOfPaths() {
          return await Promise.all([root.start().length, root.no.such])
        }
        t.match((await rejectionOf(allOfPaths())).stack, /at async allOfPaths \(/)
        t.match((await rejectionOf(all())).stack, /at async Promise\.all \(index 1\)\n +at async all \(/)
      },
      { serving: { exposeStacks }, onError: () => {} }
    )
  }
})

t.test('a rejected call that no code awaits goes to onError, once; others do not', async t => {
  const unhandled: unknown[] = []
  const listener = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', listener)
  t.teardown(() => process.off('unhandledRejection', listener))
  const events: [string, ErrorContext][] = []
  const onError = (error: unknown, context: ErrorContext) => void events.push([String(error), context])
  const calls = () => events.splice(0).map(([error, { call }]) => `${call} ${error}`)
  await overMemory(
    t,
    Chain,
    async conn => {
      const root: Untyped = conn.root
      root.fail('one')
      root.failLater('two')
      root.start().next().nope('three')
      new root.Nope()
      root.echo(Symbol('four'))
      void Netref.set(root, 'x' as never, 1 as never)
      void root.not.read
      await waitUntil(() => events.length >= 6)
      await runEventLoop()
      t.equal(events[0]![1].session, conn.session)
      t.same(
        calls()
          .map(text => text.replace(/(: .*?): .*/, '$1'))
          .sort(),
        [
          'Netref.set(root.x, 1) ExposureError: Netref.set(root.x, 1)',
          'new root.Nope() ExposureError: new root.Nope()',
          'root.echo(Symbol(four)) UnsendableError: root.echo(Symbol(four))',
          'root.fail("one") RangeError: one',
          'root.failLater("two") RangeError: two',
          'root.start().next().nope("three") ExposureError: root.start().next().nope("three")'
        ]
      )
      const failing = root.fail('seen')
      await rejectionOf(failing)
      await rejectionOf(failing.built.on())
      root.fail('seen').catch(() => {})
      await root.fail('seen').then(null, () => {})
      failing.built.on('unseen')
      await waitUntil(() => events.length > 0)
      await runEventLoop()
      t.same(
        calls(),
        ['root.fail("seen").built.on("unseen") RangeError: seen'],
        'the last call of a chain is reported'
      )

      const home = root.echo([
        async () => {
          throw new Error('at home')
        }
      ])
      await home
      home[0]()
      await waitUntil(() => events.length > 0)
      t.match(calls(), [/Error: at home$/])
    },
    { onError }
  )
  await runEventLoop()
  t.same(unhandled, [])
  t.same(events, [])
})

t.test('an error keeps its class through a chain, and through a second session', t => {
  class Torn extends Error {
    page = 3
  }
  registerError(Torn, { name: 'result.spec/Torn' })
  return overMemory(
    t,
    () => ({
      tear() {
        throw Object.assign(new Torn('torn'), { code: 'TORN' })
      }
    }),
    async conn => {
      for (const call of [(conn.root as Untyped).tear(), (conn.root as Untyped).tear().further()]) {
        const error = await rejectionOf(call)
        t.ok(error instanceof Torn)
        t.match(error, { message: 'torn', page: 3, code: 'TORN' })
      }
    }
  )
})

t.test('an answer is kept at the owner until its reply is acknowledged, and no longer', async t => {
  const answered: WeakRef<object>[] = []
  const known = <T extends object>(value: T) => {
    answered.push(new WeakRef(value))
    return value
  }
  const there = () => answered.map(ref => ref.deref() !== undefined)
  await overMemory(
    t,
    () => ({
      copy: () => known({ some: 'data' }),
      late: async () => known(['more']),
      fail() {
        throw known(new Error('no'))
      }
    }),
    async conn => {
      const root: Untyped = conn.root
      await Promise.all([root.copy(), root.late(), root.fail().catch(() => {})])
      conn.transports[0].hold()
      await collectGarbage()
      t.same(there(), [true, true, true])
      conn.transports[0].letGo()
      await conn.ping()
      await collectGarbage(() => !there().includes(true))
    }
  )
  t.same(there(), [false, false, false])
})

t.test('calls that wait for a reply reject when the session ends', async t => {
  const conn = pair(Chain)
  const root: Untyped = conn.root
  const pending = [root.start().later().next(), root.start()]
  await conn.close()
  for (const call of pending) t.match(await rejectionOf(call), { code: 'closed' })
  t.match(await rejectionOf(pending[1].next()), { code: 'closed' })
})
