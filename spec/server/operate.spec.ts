// Tests what operators of a server use: metrics for Prometheus, a health check, and a log as lines of JSON.
import t from 'tap'
import { connect, Netref, pair, serve } from '../../lib/index.js'
import { healthOf, JsonLog, metricsText } from '../../lib/operate.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'

const shop = {
  add: (a: number, b: number) => a + b,
  fail() {
    throw Object.assign(new RangeError('out of range'), { code: 'E_RANGE' })
  },
  never: () => new Promise<never>(() => {})
}

t.test('metricsText is in the format of Prometheus, with the values of server.metrics', async t => {
  await using server = await serve(shop, { port: 0 })
  await using conn = connect<typeof shop>(server.url)
  await conn.root.add(1, 2)
  await rejectionOf(conn.root.fail())
  const text = metricsText(server)
  const values = new Map<string, number>()
  for (const block of text.split(/^(?=# HELP)/m)) {
    const [, name, value] =
      /^# HELP (netref_\w+) \S.*\.\n# TYPE \1 (?:gauge|counter)\n\1 ([\d.e+-]+)\n$/.exec(block) ?? []
    t.ok(name, block.split('\n')[0])
    values.set(name!, Number(value))
  }
  const { gateways: _, ...counters } = server.metrics
  t.equal(values.size, Object.keys(counters).length, 'each metric is there')
  t.equal(values.get('netref_sessions'), 1)
  t.equal(values.get('netref_calls_received_total'), 2)
  t.equal(values.get('netref_calls_failed_total'), 1)
  t.ok(values.get('netref_uptime_seconds')! < 60)
  await assertClean(t, conn.session)
})

t.test('healthOf says whether the server accepts clients', async t => {
  const server = await serve(shop, { port: 0 })
  const conn = connect<typeof shop>(server.url)
  await conn.opened
  t.match(healthOf(server), { ok: true, state: 'open', sessions: 1, uptime: Number })
  const pending = rejectionOf(conn.root.never())
  await conn.ping()
  const closed = server.close({ drain: 100 })
  t.match(healthOf(server), { ok: false, state: 'draining' })
  await closed
  await pending
  t.match(healthOf(server), { ok: false, state: 'closed', sessions: 0 })
  await conn.close()
})

t.test('what is not a server is named', t => {
  t.throws(() => metricsText(undefined as never), {
    message: /^metricsText: undefined is not a server; pass/
  })
  t.throws(() => healthOf({} as never), { message: /^healthOf: \{…\} is not a server/ })
  t.throws(() => new JsonLog().follow(undefined as never), {
    message: /^JsonLog\.follow: undefined is not a server/
  })
  t.end()
})

t.test('a writer that is no function is named', t => {
  t.throws(() => new JsonLog(console as never), { message: /^JsonLog: .* is not a function; pass one/ })
  t.end()
})

t.test('JsonLog writes one line of JSON for each event, without arguments', async t => {
  const lines: string[] = []
  const log = new JsonLog(line => lines.push(line))
  const server = await serve(shop, {
    port: 0,
    ...log.hooks,
    authenticate: ({ query }) => query.get('who') ?? undefined
  })
  const stop = log.follow(server)
  const conn = connect<{ fail(secret: string): void; add(a: number): number }>(`${server.url}?who=ada`)
  await rejectionOf(conn.root.fail('secret'))
  await Netref.oneway(conn.root.fail)('secret')
  await conn.ping()
  await assertClean(t, conn.session)
  await conn.close()
  await waitUntil(() => lines.some(line => line.includes('session-ended')))
  const stranger = connect(server.url)
  t.match(await stranger.closed, { code: 'unauthorized' })
  await server.close()
  stop()
  const events = lines.map(line => JSON.parse(line))
  for (const { time, level } of events) {
    t.equal(new Date(time).toISOString(), time)
    t.match(level, /^(info|warn|error)$/)
  }
  t.ok(lines.every(line => !line.includes('\n') && !line.includes('secret')))
  t.match(
    events.map(({ event }) => event),
    ['session-started', 'call-failed', 'call-failed', 'session-ended', 'client-refused', 'server-closed']
  )
  t.match(events[1], {
    level: 'error',
    call: 'root.fail()',
    error: { name: 'RangeError', message: 'out of range', code: 'E_RANGE', stack: /operate\.spec/ }
  })
  t.match(events[3], { code: 'closed', message: String })
  t.match(events[4], { level: 'warn', code: 'unauthorized', address: '127.0.0.1', count: 1 })
})

t.test('errors of any kind are described', async t => {
  const lines: string[] = []
  const { hooks } = new JsonLog(line => lines.push(line))
  await using joined = pair(
    {
      fail(what: string) {
        if (what === 'authenticate') throw new Error(what)
        throw what
      }
    },
    { serving: hooks }
  )
  await rejectionOf(joined.root.fail('text'))
  await rejectionOf(joined.root.fail('authenticate'))
  hooks.onError(new Error('of a hook'))
  t.match(
    lines.map(line => JSON.parse(line)),
    [
      { error: { message: 'text' } },
      { error: { name: 'Error', message: 'authenticate' } },
      { event: 'failure', error: { message: 'of a hook' } }
    ]
  )
  await assertClean(t, joined.session, joined.served)
})

t.test('errors whose members are not texts are described', t => {
  const lines: string[] = []
  const { hooks } = new JsonLog(line => lines.push(line))
  const circular = new Error('circular')
  hooks.onCallError(Object.assign(circular, { name: circular, stack: [circular] }), { call: 'f()' } as never)
  hooks.onCallError(Object.assign(new Error('big'), { message: 1n }), { call: 'g()' } as never)
  t.match(
    lines.map(line => JSON.parse(line)),
    [
      { event: 'call-failed', call: 'f()', error: { name: String, message: 'circular', stack: undefined } },
      { event: 'call-failed', call: 'g()', error: { name: 'Error', message: '1' } }
    ]
  )
  t.end()
})

t.test('a writer that throws at the end of a session harms nothing', async t => {
  const failures: unknown[] = []
  const server = await serve(shop, { port: 0, onError: error => failures.push(error) })
  const log = new JsonLog(line => {
    if (line.includes('session-ended')) throw new Error('the disk is full')
  })
  log.follow(server)
  const conn = connect<typeof shop>(server.url)
  t.equal(await conn.root.add(1, 2), 3)
  await assertClean(t, conn.session)
  await conn.close()
  await waitUntil(() => failures.length > 0)
  t.match(failures, [{ message: 'the disk is full' }])
  await server.close()
})

t.test('a log that was stopped logs no end of a session', async t => {
  const lines: string[] = []
  const server = await serve(shop, { port: 0 })
  const stop = new JsonLog(line => lines.push(line)).follow(server)
  const conn = connect<typeof shop>(server.url)
  await conn.root.add(1, 2)
  await assertClean(t, conn.session)
  stop()
  await conn.close()
  await server.close()
  t.same(
    lines.map(line => JSON.parse(line).event),
    ['session-started']
  )
})

t.test('the default is the standard error; the error of authenticate is in the line', async t => {
  const lines: string[] = []
  t.intercept(process.stderr, 'write', { value: (line: string) => lines.push(line) > 0 } as never)
  const log = new JsonLog()
  const server = await serve(shop, {
    port: 0,
    ...log.hooks,
    authenticate() {
      throw Object.assign(new Error('no database'), { status: 403 })
    }
  })
  log.follow(server)
  const conn = connect(server.url)
  await conn.closed
  await server.close()
  t.match(
    lines.map(line => JSON.parse(line)).find(({ event }) => event === 'client-refused'),
    { cause: { message: 'no database' } }
  )
})
