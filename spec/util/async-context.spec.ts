// What a call makes current stays in that call.
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { connect, Netref, pair, registerType, Service, serve } from '../../lib/index.js'
import { assertClean, overMemoryAndSocket } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const current = new AsyncLocalStorage<string>()

class Home extends Service {
  override onConnect() {
    current.enterWith('onConnect')
  }
  exposed_login(user: string) {
    current.enterWith(user)
    return user
  }
  async exposed_loginLater(user: string) {
    current.enterWith(user)
    await null
    return current.getStore()
  }
  exposed_whoami() {
    return current.getStore()
  }
  get exposed_secret() {
    current.enterWith('secret')
    return 1
  }
  exposed_open() {
    return {
      enter: () => current.enterWith('opened'),
      whoami: () => current.getStore()
    }
  }
  *exposed_items() {
    current.enterWith('items')
    yield 1
    yield 2
  }
}

t.test(
  'a context that one call enters is not current in the next call, of the same frame or a later one',
  t =>
    overMemoryAndSocket(
      t,
      () => new Home(),
      async ({ root }, t) => {
        t.equal(await root.whoami(), undefined, 'nor the context of a hook')
        t.same(await Promise.all([root.login('ann'), root.whoami()]), ['ann', undefined])
        t.same(await Promise.all([root.loginLater('bob'), root.whoami()]), ['bob', undefined])
        t.equal(await root.whoami(), undefined)
        await root.secret
        t.equal(await root.whoami(), undefined, 'nor the context of a getter')
        const opened = root.open()
        t.same(
          await Promise.all([opened.enter(), opened.whoami()]),
          [undefined, undefined],
          'on a pending result'
        )
        for await (const item of root.items()) t.ok(item)
        t.equal(await root.whoami(), undefined, 'nor the context of an iterator')
      }
    )
)

t.test('a context that a result enters is not current in the next call of its frame', async t => {
  class Point {}
  const decode = () => {
    current.enterWith('decode')
    return new Point()
  }
  registerType(Point, { name: 'Point that enters', encode: () => 0, decode })
  const seen: unknown[] = []
  let peer: Untyped
  /** Calls the peer in the frame that has the result. */
  const noteSoon = async () => {
    await null
    await null
    Netref.oneway(peer.note)()
  }
  class Caller extends Service {
    exposed_point() {
      void noteSoon()
      return new Point()
    }
    exposed_number() {
      void noteSoon()
      return 1
    }
  }
  const note = () => void seen.push(current.getStore())
  await using joined = pair(() => new Caller(), { service: { note } })
  const { root, session, served } = joined
  peer = served.root
  await root.point()
  await session.ping()
  const enter = () => current.enterWith('reply')
  subscribe('netref:reply', enter)
  t.teardown(() => unsubscribe('netref:reply', enter))
  await root.number()
  await session.ping()
  t.same(seen, [undefined, undefined])
  await assertClean(t, session, served)
})

t.test('calls run in the context of serve(), not in that of `authenticate`', async t => {
  const authenticate = () => {
    current.enterWith('authenticate')
    return true
  }
  await using server = await current.run('served', () => serve(new Home(), { port: 0, authenticate }))
  await using conn = connect<Home>(server.url)
  t.equal(await conn.root.whoami(), 'served')
  await assertClean(t, conn.session, ...server.sessions)
})
