// Specs of `onClosing`, the hook of the side that closes the session.
import t from 'tap'
import { connect, type Netref, pair, Service, type Session, serve } from '../../lib/index.js'
import { assertClean, breakableAgent, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

interface Peer {
  bye(text: string): Promise<string>
}

/** A service that says goodbye, and notes what happens. */
function serviceWith(onClosing: (peer: Netref<Peer>, session: Session) => unknown) {
  const events: string[] = []
  class Leaving extends Service {
    exposed_hello() {
      return 'hello'
    }
    override onClosing(session: Session) {
      events.push(`closing ${session.state}`)
      return onClosing(session.root as Netref<Peer>, session) as undefined
    }
    override onDisconnect(_session: Session, { code }: { code: string }) {
      events.push(`ended ${code}`)
    }
  }
  return { Leaving, events }
}

const peerWith = (said: string[]) => ({
  bye: async (text: string) => {
    await new Promise(setImmediate)
    said.push(text)
    return 'bye'
  }
})

t.test('the service of the side that closes may still call the peer', async t => {
  const said: string[] = []
  const answers: string[] = []
  const { Leaving, events } = serviceWith(async peer => {
    answers.push(await peer.bye('it was nice'))
  })
  const byServer = pair(Leaving, { service: peerWith(said) })
  t.equal(await byServer.root.hello(), 'hello')
  const closed = byServer.served.close()
  t.equal(byServer.served.state, 'open')
  t.equal(await byServer.root.hello(), 'hello', 'calls of the peer run meanwhile')
  await Promise.all([closed, byServer.served.close()])
  t.same([said, answers, events], [['it was nice'], ['bye'], ['closing open', 'ended closed']], 'once')

  const byClient = pair(peerWith(said), { service: Leaving })
  await byClient.ping()
  await byClient.close()
  t.same(said.splice(0).length, 2)
  t.same(events.splice(0), ['closing open', 'ended closed', 'closing open', 'ended closed'])

  const byPeer = pair(Leaving, { service: peerWith(said) })
  await byPeer.root.hello()
  await byPeer.close()
  await byPeer.served.closed
  t.same([said, events], [[], ['ended closed']], 'it is not called when the peer closes')
  await assertClean(t, byServer.session, byServer.served, byClient.session, byPeer.session, byPeer.served)
})

t.test('server.close() calls it for every session, after running calls', async t => {
  const said: string[] = []
  const { Leaving, events } = serviceWith(peer => peer.bye('closing'))
  const server = await serve(Leaving, { port: 0 })
  const clients = [0, 1].map(() => connect<typeof Leaving>(server.url, { service: peerWith(said) }))
  await Promise.all(clients.map(client => client.ping()))
  await server.close({ drain: 1000 })
  t.same(said, ['closing', 'closing'])
  t.same(events.sort(), ['closing open', 'closing open', 'ended server-closed', 'ended server-closed'])
  t.same((await clients[0]!.closed).code, 'server-closed')
  await assertClean(t, ...clients.map(({ session }) => session))
})

t.test('server.close() waits for hooks that are asynchronous', async t => {
  const said: string[] = []
  const { Leaving, events } = serviceWith(async peer => {
    await peer.bye('closing')
    events.push('said')
  })
  const server = await serve(Leaving, { port: 0 })
  const conn = connect<typeof Leaving>(server.url, { service: peerWith(said) })
  await conn.ping()
  await server.close()
  t.same(said, ['closing'])
  t.same(events, ['closing open', 'said', 'ended server-closed'])
  await assertClean(t, conn.session)
})

t.test('a failure, or a hook that takes too long, is reported, and the session ends', async t => {
  const errors: unknown[] = []
  const options = { limits: { helloMs: 40 }, onError: (error: unknown) => void errors.push(error) }
  const hooks = [
    () => {
      throw new Error('at once')
    },
    () => Promise.reject(new Error('later')),
    () => new Promise(() => {})
  ]
  for (const hook of hooks) {
    const { Leaving, events } = serviceWith(hook)
    const joined = pair({}, { service: Leaving, ...options })
    await joined.ping()
    await joined.close()
    t.same(events, ['closing open', 'ended closed'])
    await assertClean(t, joined.session, joined.served)
  }
  t.match(errors, [
    { message: 'at once' },
    { message: 'later' },
    { code: 'limit', message: 'onClosing did not settle within 40 ms (limits.helloMs)' }
  ])
})

t.test('an end from outside does not wait for it', async t => {
  const { Leaving, events } = serviceWith(() => new Promise(() => {}))
  await using server = await serve({ hello: () => 'hello' }, { port: 0 })
  const { agent, die } = breakableAgent()
  const lost = connect<Untyped>(server.url, { agent, service: Leaving, reconnect: { delay: 60_000 } })
  await lost.root.hello()
  const closed = lost.close()
  t.same([lost.state, events], ['open', ['closing open']])
  die()
  await closed
  t.same(events.splice(0), ['closing open', 'ended closed'], 'the peer cannot be reached any more')

  const other = breakableAgent()
  const interrupted = connect<Untyped>(server.url, {
    agent: other.agent,
    service: Leaving,
    reconnect: { delay: 60_000 }
  })
  await interrupted.root.hello()
  other.die()
  await waitUntil(() => interrupted.state === 'interrupted')
  await interrupted.close()
  t.same(events.splice(0), ['ended closed'], 'an interrupted session has no peer to call')

  const renewing = connect<Untyped>(server.url, { service: Leaving, renew: true })
  await renewing.root.hello()
  const closing = renewing.close()
  for (const session of server.sessions) (session as Untyped).end({ code: 'session-lost', message: 'test' })
  await closing
  t.equal(renewing.state, 'closed', 'no other session replaces one that is being closed')
  for (const session of server.sessions) await session.close()

  const revoked = connect<Untyped>(server.url, { service: Leaving })
  await revoked.root.hello()
  const waiting = revoked.close()
  await revoked.close({ code: 'revoked', message: 'at once' })
  await waiting
  t.same((await revoked.closed).code, 'revoked')
  t.same(events.splice(2), ['closing open', 'ended revoked'])

  const unopened = connect<Untyped>(server.url, { service: Leaving })
  await unopened.close()
  t.same(
    events.splice(0),
    ['closing open', 'ended session-lost'],
    'nor is it called before the session has begun'
  )
})

t.test('a peer cannot call it', async t => {
  const { Leaving } = serviceWith(() => {})
  await using joined = pair(Leaving, { serving: { allowPublicAttrs: true } })
  t.match(await rejectionOf((joined.root as Untyped).onClosing()), { code: 'not-exposed' })
})
