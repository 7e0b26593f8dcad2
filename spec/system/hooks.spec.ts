// Tests that errors of user hooks, listeners and `onError` are caught.
import t from 'tap'
import { callSignal, exposed, Netref, pair, Service } from '../../lib/index.js'
import { assertClean, overMemory, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

t.test('an abort with any reason can be listened to as the guide shows', t => {
  const received: unknown[] = []
  const listen = (signal: AbortSignal) =>
    new Promise<void>(resolve =>
      signal.addEventListener('abort', () => {
        received.push(signal.reason.name, signal.reason.message)
        resolve()
      })
    )
  class Search extends Service {
    @exposed find() {
      return listen(callSignal())
    }
    @exposed watch(signal: AbortSignal) {
      return listen(signal)
    }
    @exposed late({ reason }: AbortSignal) {
      received.push(reason.name, reason.message)
    }
  }
  return overMemory(t, Search, async ({ root }) => {
    const absent = ['AbortError', 'This operation was aborted']
    for (const [reason, name, message] of [
      [null, ...absent],
      [undefined, ...absent],
      ['text', undefined, undefined],
      [7, undefined, undefined],
      [new RangeError('enough'), 'RangeError', 'enough']
    ]) {
      for (const use of ['find', 'watch'] as const) {
        const stop = new AbortController()
        const call =
          use === 'find' ? Netref.with(root, { signal: stop.signal }).find() : root.watch(stop.signal)
        const settled = call.catch(() => {})
        await root.late(AbortSignal.abort(new Error('first')))
        received.length = 0
        stop.abort(reason)
        await settled
        await waitUntil(() => received.length > 0)
        t.same(received.splice(0), [name, message], `${use}: ${reason}`)
      }
      await root.late(AbortSignal.abort(reason))
      t.same(received.splice(0), [name, message])
    }
  })
})

t.test('rejections of async hooks, listeners and onError are caught', async t => {
  const said = t.capture(console, 'error')
  const errors: string[] = []
  const thenable = (text: string): Untyped => ({
    then: (_done: unknown, failed: (error: Error) => void) => failed(new Error(text))
  })
  class Hooked extends Service {
    override onConnect(): Untyped {
      return thenable('of a hook')
    }
    @exposed fail() {
      throw new Error('of a call')
    }
  }
  for (const answer of [
    async () => {
      throw new Error('no log')
    },
    () => thenable('no log')
  ] as Untyped[]) {
    const conn = pair(Hooked, {
      serving: {
        onError: error => {
          errors.push((error as Error).message)
          return answer()
        }
      }
    })
    conn.on('closed', () => conn.root.fail() as Untyped)
    await conn.ping()
    void Netref.oneway(conn.root.fail as Untyped)()
    await waitUntil(() => errors.length === 2)
    t.same(
      errors.splice(0),
      ['of a hook', 'of a call'].sort((a, b) => errors.indexOf(a) - errors.indexOf(b))
    )
    t.match(await rejectionOf(conn.root.fail()), { message: 'of a call' })
    await assertClean(t, conn.session, conn.served)
    await conn.close()
  }
  const lines = said().map(({ args }) => args[0])
  t.equal(lines.filter(line => line === 'netref: onError itself failed: Error: no log').length, 4)
})
