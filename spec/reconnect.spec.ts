// How a client looks for another socket: when, and what makes it hurry.
import t from 'tap'
import { WebSocketServer } from 'ws'
import { connect, Service, serve } from '../lib/index.js'
import { Chaos } from './chaos.js'
import { rejection, until } from './helpers.js'

class Clock extends Service {
  exposed_now() {
    return 'now'
  }
}

/** What a browser has of its own: here it says what a spec lets it say. */
class Page extends EventTarget {
  visibilityState = 'hidden'
}

t.test('a page that is online again, or looked at, tries at once', async t => {
  const window = new EventTarget()
  const document = new Page()
  const added: string[] = []
  t.intercept(globalThis as object, 'document' as never, { value: document })
  for (const name of ['addEventListener', 'removeEventListener'] as const) {
    t.intercept(
      globalThis,
      name as never,
      {
        value: (type: string, listener: () => void) => {
          added.push(`${name} ${type}`)
          window[name](type, listener)
        }
      } as never
    )
  }
  const server = await serve(Clock, { port: 0 })
  for (const [target, event] of [
    [window, 'online'],
    [document, 'visibilitychange']
  ] as const) {
    const chaos = await Chaos.before(server.url, 1)
    const reconnect = { delay: 1_000_000, maxDelay: 1_000_000 }
    const conn = connect<Clock>(chaos.url, { reconnect, heartbeat: 0 })
    t.equal(await conn.root.now(), 'now')
    chaos.cutAll()
    await until(() => conn.state === 'interrupted')
    document.visibilityState = 'hidden'
    document.dispatchEvent(new Event('visibilitychange'))
    document.visibilityState = 'visible'
    target.dispatchEvent(new Event(event))
    // A second one, while the try is under way, begins anew.
    target.dispatchEvent(new Event(event))
    t.equal(await conn.root.now(), 'now')
    await conn.close()
    await chaos.close()
  }
  t.same(added.filter(what => what === 'addEventListener online').length, 2)
  t.same(added.filter(what => what === 'removeEventListener online').length >= 2, true)
  await server.close()
})

t.test('a server that answers a token with something else is none of ours', async t => {
  const server = await serve(Clock, { port: 0 })
  const chaos = await Chaos.before(server.url, 1)
  const port = Number(new URL(chaos.url).port)
  const conn = connect<Clock>(chaos.url, { reconnect: { delay: 1, maxDelay: 5 } })
  await conn.ping()
  await chaos.close()
  const other = new WebSocketServer({ port, host: '127.0.0.1' })
  other.on('connection', socket => socket.on('message', () => socket.send('[0,[]]')))
  t.match(await rejection(conn.root.now()), {
    code: 'protocol',
    message: /it received no answer to its token/
  })
  await conn.close()
  other.close()
  for (const client of other.clients) client.terminate()
  await server.close()
})

t.test('a try that is not answered is left for the next', async t => {
  const server = await serve(Clock, { port: 0 })
  const chaos = await Chaos.before(server.url, 1)
  const port = Number(new URL(chaos.url).port)
  const conn = connect<Clock>(chaos.url, { heartbeat: 40, reconnect: { delay: 1, maxDelay: 5 } })
  await conn.ping()
  await chaos.close()
  let tries = 0
  const silent = new WebSocketServer({ port, host: '127.0.0.1' })
  silent.on('connection', () => tries++)
  await until(() => tries >= 3)
  t.equal(conn.state, 'interrupted')
  await conn.close()
  silent.close()
  for (const client of silent.clients) client.terminate()
  await server.close()
})
