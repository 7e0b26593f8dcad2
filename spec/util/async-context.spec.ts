// What a call makes current stays in that call.
import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import { connect, exposed, Service, serve } from '../../lib/index.js'
import { assertClean, overMemoryAndSocket } from '../support/helpers.js'

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
  @exposed get secret() {
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
