// Tests the hooks of `netref/react` with the real React over real sockets; without a page, by React's test renderer.
import { setTimeout as sleep } from 'node:timers/promises'
import { Component, createElement as h, type ReactNode, StrictMode, Suspense, startTransition } from 'react'
import { create } from 'react-test-renderer'
import t, { type Test } from 'tap'
import { type Connection, type ConnectOptions, expose, Netref, type Server, serve } from '../../lib/index.js'
import { useConnection, useConnectionState, useRemote } from '../../lib/react.js'
import { waitUntil } from '../support/helpers.js'

/** What React prints, except that its test renderer is deprecated. */
const printed: string[] = []
const { error } = console
console.error = (text: unknown) => {
  if (!/react-test-renderer is deprecated/.test(String(text))) printed.push(String(text))
}
t.teardown(() => {
  console.error = error
})

class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  static getDerivedStateFromError = (error: Error) => ({ error })
  override state: { error?: Error } = {}
  override render() {
    return this.state.error ? `failed: ${this.state.error.message}` : this.props.children
  }
}

/** A page, as text. */
function renderPage(element: ReactNode) {
  const wrap = (element: ReactNode) =>
    h(StrictMode, null, h(Boundary, null, h(Suspense, { fallback: 'waiting' }, element)))
  const renderer = create(wrap(element), { unstable_isConcurrent: true })
  const text = () => [renderer.toJSON()].flat(Number.POSITIVE_INFINITY).join(' ')
  return {
    text,
    shows: (what: string) =>
      waitUntil(() => text() === what, what).catch(error => {
        throw new Error(`${error.message}, but ${text()}`)
      }),
    update: (element: ReactNode) => renderer.update(wrap(element)),
    unmount: () => renderer.unmount()
  }
}

const assertNone = (server: Server) => waitUntil(() => server.sessions.size === 0, 'all sessions end')

/** Every session of the server has ended, and React has no complaint. */
async function assertEnded(t: Test, server: Server): Promise<void> {
  await assertNone(server)
  t.same(printed.splice(0), [], 'React prints nothing')
}

interface Todos {
  list(): string[]
}

t.test('components that render twice share one session and one call', async t => {
  let calls = 0
  await using server = await serve({ list: () => [`call ${++calls}`] }, { port: 0 })
  let sessions = 0
  server.on('session', () => sessions++)
  function List() {
    const conn = useConnection<Todos>(server.url, { reconnect: { delay: 50, maxDelay: undefined } })
    return useRemote(() => conn.root.list(), [conn]).join()
  }
  function State() {
    return useConnectionState(useConnection(new URL(server.url), { reconnect: { delay: 50 } }))
  }
  const page = renderPage([h(List, { key: 1 }), h(State, { key: 2 }), h(List, { key: 3 })])
  t.equal(page.text(), '')
  await page.shows('waiting')
  await page.shows('call 1 open call 1')
  t.equal(sessions, 1)
  await sleep(1500)
  page.update([h(List, { key: 1 }), h(State, { key: 2 }), h(List, { key: 3 }), h(List, { key: 4 })])
  await page.shows('call 1 open call 1 call 1')
  page.unmount()
  t.equal(server.sessions.size, 1, 'for a moment a component may need it again')
  await assertEnded(t, server)
  t.equal(sessions, 1)
})

t.test('a component that suspends long after its siblings were ready makes each call once', async t => {
  const calls: string[] = []
  await using server = await serve(
    {
      async wait(ms: number) {
        calls.push(`${ms}`)
        await sleep(ms)
        return ms
      }
    },
    { port: 0 }
  )
  function Wait({ ms }: { ms: number }) {
    const conn = useConnection<{ wait(ms: number): Promise<number> }>(server.url)
    return useRemote(() => conn.root.wait(ms), [conn, ms])
  }
  const page = renderPage([h(Wait, { ms: 10, key: 1 }), h(Wait, { ms: 2500, key: 2 })])
  await page.shows('10 2500')
  t.same(calls, ['10', '2500'])
  startTransition(() => page.update(h(Wait, { ms: 300 })))
  await page.shows('300')
  page.unmount()
  await assertEnded(t, server)
})

t.test('an error is thrown to the boundary, and a later render calls again', async t => {
  let calls = 0
  await using server = await serve(
    {
      list() {
        if (++calls === 1) throw new Error('not yet')
        return ['ready']
      }
    },
    { port: 0, onCallError: () => undefined }
  )
  let fails = true
  function List() {
    const conn = useConnection<Todos>(server.url)
    const [first] = useRemote(() => conn.root.list(), [conn])
    return useRemote(() => {
      if (fails) throw new RangeError('local')
      return first
    }, [first])!
  }
  const page = renderPage(h(List))
  await page.shows('failed: not yet')
  page.unmount()
  printed.length = 0
  await assertEnded(t, server)
  const local = renderPage(h(List))
  await local.shows('failed: local')
  local.unmount()
  printed.length = 0
  await assertEnded(t, server)
  fails = false
  const last = renderPage(h(List))
  await last.shows('ready')
  t.equal(calls, 3)
  last.unmount()
  await assertEnded(t, server)

  // An address that never connects.
  const nobody = renderPage(h(Unreachable))
  await waitUntil(() => /^failed: .*cannot reach ws:..127.0.0.1:1/.test(nobody.text()))
  nobody.unmount()
  printed.length = 0
})

function Unreachable() {
  const conn = useConnection<Todos>('ws://127.0.0.1:1')
  return useRemote(() => conn.root.list(), [conn]).join()
}

t.test('what a connection cannot use is thrown at once', async () => {
  const Broken = ({ url }: { url: string }) => useConnectionState(useConnection(url))
  for (const url of ['example.org', null as never]) {
    const page = renderPage(h(Broken, { url }))
    await waitUntil(() => page.text().startsWith('failed: connect: '))
    page.unmount()
  }
  printed.length = 0
})

t.test('netrefs are released with the last component, unless other code has them', async t => {
  const counters = new Map<string, object>()
  const counterOf = (name: string) => {
    let count = 0
    const counter = expose({ increment: () => ++count, name: () => name })
    counters.set(name, counter)
    return counter
  }
  await using server = await serve(
    {
      counter: (name: string) => counters.get(name) ?? counterOf(name),
      all: () => ({
        list: [...counters.values()],
        map: new Map([['a', counters.get('a')!]]),
        set: new Set(counters.values()),
        missing: null
      })
    },
    { port: 0 }
  )
  type Counter = Netref<{ increment(): number; name(): string }>
  type Counters = { counter(name: string): Counter; all(): { list: Counter[] } }
  let conn!: Connection<Counters>
  function Count({ name }: { name: string }) {
    conn = useConnection<Counters>(server.url)
    const counter = useRemote(() => conn.root.counter(name), [conn, name])
    const same = useRemote(
      async () => ({ counter, root: conn.root, also: Object.create(null) }),
      [counter, conn]
    )
    return useRemote(() => same.counter.name(), [same])
  }
  function All() {
    const conn = useConnection<Counters>(server.url)
    return useRemote(() => conn.root.all(), [conn]).list.length.toString()
  }
  const page = renderPage(h(Count, { name: 'a' }))
  await page.shows('a')
  const [session] = server.sessions
  t.equal(session!.stats.exports, 1)
  const own = (await conn.root.counter('a')) as unknown as Counter
  page.update(h(Count, { name: 'b' }))
  await page.shows('b')
  await sleep(1500)
  t.equal(await own.name(), 'a', 'this program received it, too')
  t.equal(session!.stats.exports, 2)

  page.update(h(Count, { name: 'c' }))
  await page.shows('c')
  await waitUntil(() => session!.stats.exports === 2, 'b is released')
  page.update([h(Count, { name: 'c', key: 1 }), h(All, { key: 2 })])
  await page.shows('c 3')
  t.equal(session!.stats.exports, 3)
  page.update(h(Count, { name: 'c', key: 1 }))
  await page.shows('c')
  await sleep(1500)
  Netref.release(own)
  t.equal(await conn.root.counter('c').name(), 'c')
  page.unmount()
  await assertEnded(t, server)
})

t.test(
  'a new session: values stay until they are read again, and calls that were lost are made again',
  async t => {
    const serving = (name: string, port = 0) =>
      serve(
        {
          list: () => [name],
          late: () => (name === 'first' ? 'late' : sleep(2000)),
          fails: async () => {
            if (name === 'first') return 'fine'
            await sleep(2000)
            throw new Error('late')
          },
          slow: () => (name === 'first' ? new Promise<never>(() => {}) : `slow ${name}`),
          last: () => (name === 'third' ? new Promise<never>(() => {}) : `last ${name}`)
        },
        { port }
      )
    type Names = {
      list(): string[]
      slow(): Promise<string>
      last(): Promise<string>
      late(): Promise<string>
      fails(): Promise<string>
    }
    const first = await serving('first')
    const { url } = first
    const port = Number(new URL(url).port)
    const options: ConnectOptions = { renew: true, reconnect: { delay: 10, maxDelay: 50 } }
    let conn!: Connection<Names>
    const roots = new Set<unknown>()
    function Names() {
      conn = useConnection<Names>(url, options)
      roots.add(conn.root)
      return useRemote(() => conn.root.list(), [conn]).join()
    }
    const Late = () => useRemote(() => conn.root.late(), [conn])
    const Fails = () => useRemote(() => conn.root.fails(), [conn])
    const Slow = () => useRemote(() => conn.root.slow(), [conn])
    const Last = () => useRemote(() => conn.root.last(), [conn, conn.root])
    const page = renderPage(h(Names))
    await page.shows('first')
    page.update([
      h(Names, { key: 1 }),
      h(Late, { key: 4 }),
      h(Fails, { key: 5 }),
      h(Suspense, { key: 2, fallback: 'slowly' }, h(Slow))
    ])
    await page.shows('first late fine slowly')
    await waitUntil(() => [...first.sessions][0]!.stats.callsIn === 4)
    await first.close()
    const second = await serving('second', port)
    await page.shows('second late fine slow second')
    page.update([h(Names, { key: 1 }), h(Suspense, { key: 2, fallback: 'slowly' }, h(Slow))])
    await sleep(2500)
    await page.shows('second slow second')
    t.equal(roots.size, 2, 'useConnection rendered again, for the new root')

    await second.close()
    const third = await serving('third', port)
    await page.shows('third slow third')
    page.update([h(Names, { key: 1 }), h(Suspense, { key: 3, fallback: 'waits' }, h(Last))])
    await page.shows('third waits')
    await conn.close()
    await waitUntil(() => /^failed: /.test(page.text()))
    printed.length = 0
    page.unmount()
    await assertEnded(t, third)
    await third.close()
  }
)

t.test('a value that each render makes anew is refused', async t => {
  await using server = await serve({ list: () => ['a'] }, { port: 0 })
  function NewDep() {
    const conn = useConnection<Todos>(server.url)
    return useRemote(() => conn.root.list(), [conn, {}]).join()
  }
  const page = renderPage(h(NewDep))
  await page.shows(
    'failed: useRemote: deps[1] is another value at each render; make it outside of the component, or in a parent'
  )
  page.unmount()
  function NewToken() {
    const conn = useConnection<Todos>(server.url, { service: undefined, token: () => 'a' })
    return useRemote(async () => conn.root.list(), [conn]).join()
  }
  const other = renderPage(h(NewToken))
  await other.shows(
    'failed: useConnection: `token` is another value at each render; define it outside of the component'
  )
  other.unmount()
  await assertNone(server)
  let renders = 0
  function NewHeader() {
    const conn = useConnection<Todos>(server.url, { headers: { [`x${++renders}`]: 'a' } })
    return useRemote(async () => (await conn.root.list()).join(), [conn])
  }
  const names = renderPage(h(NewHeader))
  await names.shows(
    'failed: useConnection: `options` is another value at each render; define it outside of the component'
  )
  names.unmount()
  printed.length = 0
  await assertEnded(t, server)
})
