import t from 'tap'
import { DEFAULT_EXPOSURE } from '../../lib/access/access-control.js'
import { withBeforeHook } from '../../lib/access/before-hook.js'
import { operate } from '../../lib/access/operations.js'
import {
  connect,
  expose,
  exposed,
  Netref,
  type PeerCall,
  pair,
  type ServeOptions,
  Service,
  type Session
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { assertClean, implOf, overMemory, overSocket, rejectionOf } from '../support/helpers.js'

interface User {
  readonly name: string
  admin?: boolean
}
const isAdmin = ({ identity }: Session<object, User>) => identity.admin === true

class Files extends Service {
  @exposed list() {
    return ['a']
  }
  @exposed({ if: isAdmin }) remove(name: string) {
    return `removed ${name}`
  }
  @exposed({ if: isAdmin }) get secret() {
    return 42
  }
  @exposed({ if: isAdmin }) accessor quota = 1
}
class Purger extends Service {
  @exposed({ if: isAdmin }) purge() {
    return 'purged'
  }
}

t.test('@exposed({ if }): a member does not exist for a peer that may not use it', t =>
  overMemory(
    t,
    Files,
    async conn => {
      const files = conn.root
      t.same(await files.list(), ['a'])
      const missing = await rejectionOf(Netref.get(files, 'nothing' as never))
      for (const use of [
        files.remove('a'),
        files.secret,
        files.quota,
        Netref.set(files, 'quota', 2),
        Netref.delete(files, 'quota'),
        Netref.get(files, 'remove')
      ]) {
        const error = await rejectionOf(use as PromiseLike<unknown>)
        t.equal(error.code, 'not-exposed')
        t.equal(
          error.message.replace(/^.*?: "\w+"/, ''),
          missing.message.replace(/^.*?: "\w+"/, ''),
          'a refused member and a missing member give the same error'
        )
      }
      t.same(await Netref.keys(files), ['list'])
      t.equal(await Netref.has(files, 'remove'), false)
    },
    {
      identity: { name: 'Bob' },
      serving: { allowPublicAttrs: true, allowSetAttrs: true, allowDeleteAttrs: true }
    }
  )
)

t.test('@exposed({ if }): a permitted member is like any other, and `if` is called at each use', async t => {
  const ada: User = { name: 'Ada', admin: true }
  await using conn = pair<Files>(Files, { identity: ada })
  const files = conn.root
  t.equal(await files.remove('a'), 'removed a')
  t.equal(await files.secret, 42)
  t.equal(await files.quota, 1)
  t.same((await Netref.keys(files)).sort(), ['list', 'quota', 'remove', 'secret'])
  const remove = await files.remove
  t.equal(await remove('b'), 'removed b')
  ada.admin = false
  t.match(await rejectionOf(files.remove('c')), { code: 'not-exposed' })
  t.match(
    await rejectionOf(remove('c')),
    { code: 'not-exposed' },
    'a netref to the method does not bypass the rule'
  )
  Netref.release(remove)
  await assertClean(t, conn.session, conn.served)
  await using guest = pair<Purger>(Purger, { identity: ada })
  t.match(await rejectionOf(guest.root.purge()), { code: 'not-exposed' })
  t.same(await Netref.keys(guest.root), [])
  ada.admin = true
  t.equal(await guest.root.purge(), 'purged')
})

t.test('an override has the rules of the overridden member, on any path', async t => {
  const shared = () => 'shared'
  class Special extends Files {
    override remove(name: string) {
      return `special ${name}`
    }
    override get secret() {
      return 43
    }
  }
  class Other extends Purger {
    override purge = shared
  }
  class Open extends Files {
    @exposed override remove(name: string) {
      return `open ${name}`
    }
  }
  const guest = { name: 'Bob' }
  await using conn = pair<Special>(Special, { identity: guest })
  for (const use of [conn.root.remove('a'), conn.root.secret]) {
    t.match(await rejectionOf(use), { code: 'not-exposed' })
  }
  const ada: User = { name: 'Ada', admin: true }
  await using hers = pair<Special>(Special, { identity: ada })
  await using others = pair<Other>(Other, { identity: ada })
  const [remove, purge] = [await hers.root.remove, await others.root.purge]
  t.same([await remove('a'), await hers.root.secret, await purge()], ['special a', 43, 'shared'])
  ada.admin = false
  t.match(await rejectionOf(remove('a')), { code: 'not-exposed' })
  t.match(await rejectionOf(purge()), { code: 'not-exposed' })
  await using open = pair<Open>(Open, { identity: guest })
  t.equal(await open.root.remove('a'), 'open a', 'unless the override has its own rule')
  await using other = pair<{ shared(): string }>(expose({ shared, kept: 1 }, { read: ['kept'] }))
  t.match(
    await rejectionOf(other.root.shared()),
    { code: 'not-exposed' },
    'the override exposes nothing else'
  )
})

t.test('an `if` that throws or returns a promise refuses every peer, and is reported', async t => {
  class Odd extends Service {
    @exposed({
      if: () => {
        throw new Error('broken')
      }
    })
    broken() {}
    @exposed({ if: (async () => true) as never }) late() {}
    @exposed({ if: (async () => Promise.reject(new Error('never seen'))) as never }) later() {}
    @exposed({ if: ({ identity }: Session<object, User>) => identity.admin === true }) nobody() {}
  }
  const errors: Error[] = []
  const onError = (error: unknown) => errors.push(error as Error)
  await overMemory(
    t,
    Odd,
    async ({ root }) => {
      for (const use of [root.broken(), root.late(), root.later(), root.nobody()]) {
        t.match(await rejectionOf(use), { code: 'not-exposed' })
      }
      t.match(
        errors.map(({ message }) => message),
        ['broken', /must decide synchronously/, /must decide synchronously/, /undefined \(reading 'admin'\)/]
      )
    },
    { serving: { onError } }
  )
})

t.test('before receives each request with path and arguments, and can refuse it', async t => {
  const events: PeerCall[] = []
  const sessions = new Set<Session>()
  class Counter {
    count = 0
    increment(by = 1) {
      this.count += by
      return this.count
    }
  }
  const root = expose({ Counter, files: { open: (name: string) => name.length }, open: () => new Counter() })
  const before = (call: PeerCall, session: Session) => {
    events.push(call)
    sessions.add(session)
    if (call.path.includes('secret')) throw new RangeError(`${call} is not for you`)
  }
  await overMemory(
    t,
    root,
    async conn => {
      const peer = conn.root
      await peer.files.open('x')
      using counter = await new peer.Counter()
      await counter.increment(2)
      await peer.open().increment()
      await counter.count
      await Netref.set(counter, 'count', 7)
      await Netref.has(counter, 'count')
      await Netref.keys(counter)
      await rejectionOf(Netref.delete(counter, 'count'))
      await rejectionOf(
        (peer as unknown as { nothing(...args: unknown[]): Promise<void> }).nothing(1, 'two', [3], {})
      )
      const increment = await counter.increment
      await increment(1)
      Netref.release(increment)
      t.match(await rejectionOf((peer as unknown as { secret: { key: Promise<void> } }).secret.key), {
        name: 'RangeError',
        message: 'root.secret.key is not for you'
      })
      t.same(events.map(String), [
        'root.files.open("x")',
        'new root.Counter()',
        'Counter {…}.increment(2)',
        'root.open()',
        'Counter {…}.increment()',
        'Counter {…}.count',
        'Netref.set(Counter {…}.count, 7)',
        'Netref.has(Counter {…}.count)',
        'Netref.keys(Counter {…})',
        'Netref.delete(Counter {…}.count)',
        'root.nothing(1, "two", […], …)',
        'Counter {…}.increment',
        'ƒ(1)',
        'root.secret.key'
      ])
      t.match(events[0], { kind: 'call', path: ['files', 'open'], args: ['x'] })
      t.equal(events[0]!.target, root)
      t.match(events[6], { kind: 'set', path: ['count'], args: [7] })
      t.same([...sessions], [conn.served])
    },
    { serving: { allowPublicAttrs: true, allowSetAttrs: true, before } }
  )
})

t.test('a `before` that returns a promise is reported once per server', async t => {
  const events: unknown[] = []
  const options: ServeOptions = {
    port: 0,
    before: (async () => {}) as never,
    onError: (error, { call }) => events.push([String(error), call])
  }
  const error = 'TypeError: root.save(1): `before` returned a promise, but must decide synchronously'
  for (const count of [1, 2]) {
    await overSocket(
      t,
      { save(_: number) {} },
      async ({ root }, server) => {
        t.equal(String(await rejectionOf(root.save(1))), error)
        await using other = connect<{ save(x: number): void }>(server.url)
        t.equal(String(await rejectionOf(other.root.save(1))), error)
      },
      { server: options }
    )
    t.same(events, Array(count).fill([error, undefined]))
  }
})

t.test(
  'a request is refused if `before` does not decide synchronously; a client may have a hook, too',
  async t => {
    const done: unknown[] = []
    const service = { save: (x: unknown) => void done.push(x) }
    const late = async () => {
      throw new Error('too late')
    }
    await overMemory(
      t,
      service,
      async ({ root }) => {
        t.match(await rejectionOf(root.save(1)), {
          name: 'TypeError',
          message: 'root.save(1): `before` returned a promise, but must decide synchronously'
        })
        t.same(done, [])
      },
      { serving: { before: late as never } }
    )
    const received: string[] = []
    await overSocket(
      t,
      { tell: (say: Netref<(text: string) => void>) => say('hi') },
      async conn => {
        await conn.root.tell(text => void received.push(text))
      },
      { client: { before: call => void received.push(String(call)) } }
    )
    t.same(received, ['ƒ("hi")', 'hi'])
    // Inspection of the target may throw, but its description does not.
    const hostile = new Proxy(
      {},
      {
        getPrototypeOf() {
          throw new Error('no look')
        }
      }
    )
    let name = ''
    const asked = withBeforeHook(() => ({ value: 1 }), implOf({} as Session), {
      ...DEFAULT_EXPOSURE,
      before(call) {
        name = String(call)
      }
    })
    asked(Op.get, hostile, ['a'], undefined, {} as never)
    t.equal(name, '{…}.a')
    t.equal(
      withBeforeHook(operate, implOf({} as Session), DEFAULT_EXPOSURE),
      operate,
      'without the hook the call is allowed'
    )
  }
)

t.test('before receives each request to iterators and streams, and can refuse it', async t => {
  const events: string[] = []
  let refused = ''
  const before = (call: PeerCall) => {
    events.push(`${call.kind} ${call}`)
    if (call.path.at(-1) === refused || call.kind === refused) throw new RangeError('not for you')
  }
  const written: unknown[] = []
  const service = {
    *numbers() {
      yield 1
      yield 2
    },
    sink: () => new WritableStream({ write: chunk => void written.push(chunk) })
  }
  await overMemory(
    t,
    service,
    async ({ root }) => {
      const read = async () => {
        for await (const _ of root.numbers());
      }
      await read()
      const byHand = await root.numbers()
      await byHand.next('first')
      await byHand.return()
      const writer = (await root.sink()).getWriter()
      await writer.write('x')
      await writer.close()
      t.same(written, ['x'])
      t.match(events, [
        'call root.numbers()',
        /^iterate /,
        'call root.numbers()',
        /^call .*\.next\("first"\)$/,
        /^call .*\.return\(\)$/,
        'call root.sink()',
        /^call .*\.pipe\(.+\)$/
      ])
      refused = 'iterate'
      t.match(await rejectionOf(read()), { name: 'RangeError', message: 'not for you' })
      refused = 'next'
      t.match(await rejectionOf((await root.numbers()).next('first')), { name: 'RangeError' })
      refused = 'pipe'
      const other = (await root.sink()).getWriter()
      t.match(await rejectionOf(other.write('x').then(() => other.close())), { name: 'RangeError' })
    },
    { serving: { before } }
  )
})
