import { context, trace } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node'
import t from 'tap'
import * as netref from '../../lib/index.js'
import { formatTraced, Op } from '../../lib/protocol/messages.js'
import { isTraceparent, parseMessage } from '../../lib/protocol/parse-message.js'
import { tracing } from '../../lib/session/tracing.js'
import { assertClean, overMemory, overSocket } from '../support/helpers.js'
import { recordMessages, type Untyped } from '../support/wire.js'

// The demo is what is checked: the real SDK, with an exporter that keeps the spans.
const spans = await import('../../demos/tracing/spans.js')
const { exporter, inSpan, tree } = spans
const { Forecast } = await t.mockImport<typeof import('../../demos/tracing/forecast.js')>(
  '../../demos/tracing/forecast.js',
  { netref, '../../demos/tracing/spans.js': spans }
)

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const activeSpan = () => trace.getSpanContext(context.active())

t.beforeEach(() => exporter.reset())

const named = (name: string): ReadableSpan => {
  const found = exporter.getFinishedSpans().find(span => span.name === name)
  if (found) return found
  /* c8 ignore next: only a test that fails gets here. */
  throw new Error(`no span ${name}`)
}

t.test('one trace spans both sides', t =>
  overSocket(t, Forecast, async ({ root }) => {
    const measure = (city: string) => inSpan(`client: measure ${city}`, () => city.length)
    t.equal(await inSpan('client: ask', () => root.forecast(['Rome', 'Paris'], measure)), 4.5)
    t.same(tree(exporter.getFinishedSpans()), [
      'client: ask',
      '  server: forecast',
      '    client: measure Rome',
      '    client: measure Paris',
      '    server: average'
    ])
    const [ask, forecast, measured] = ['client: ask', 'server: forecast', 'client: measure Rome'].map(named)
    t.equal(new Set(exporter.getFinishedSpans().map(span => span.spanContext().traceId)).size, 1)
    t.match(forecast!.parentSpanContext, { spanId: ask!.spanContext().spanId, isRemote: true })
    t.match(measured!.parentSpanContext, { spanId: forecast!.spanContext().spanId, isRemote: true })
  })
)

t.test('code of the owner runs in the span of the call, or in none', async t => {
  const home = {
    spanId: () => activeSpan()?.spanId,
    later: async () => {
      await undefined
      return activeSpan()?.spanId
    },
    open: () => netref.expose({ id: () => activeSpan()?.spanId }),
    ask: async (tell: netref.Netref<() => unknown>) => tell()
  }
  // A session that was begun in a span: what it is asked for has nothing to do with that.
  const conn = (await inSpan('begin', () => [netref.pair(home)]))[0]!
  const { root, session, served }: Untyped = conn
  t.equal(await root.spanId(), undefined)
  const [out, back] = recordMessages(conn)
  await inSpan('outer', async () => {
    const { spanId, traceId } = activeSpan()!
    t.equal(await root.spanId(), spanId)
    t.equal(await root.later(), spanId)
    t.equal(await root.open().id(), spanId, 'on a pending result')
    t.equal(await root.ask(() => activeSpan()?.spanId), spanId, 'and back')
    t.equal(activeSpan()!.spanId, spanId)
    t.same(out[0], [Op.traced, `00-${traceId}-${spanId}-01`, 1, 2, 0, 'spanId', []])
    const traced = back.filter(([op]) => op === Op.traced)
    t.match(traced, [[Op.traced, `00-${traceId}-${spanId}-01`, 1]], 'the callback')
  })
  out.splice(0)
  t.equal(await root.ask(() => activeSpan()?.spanId), undefined)
  t.equal(out[0]![0], 1, 'without a span no trace is sent')
  await assertClean(t, session, served)
  await conn.close()
})

t.test('an invalid span is not sent', t =>
  overMemory(t, { spanId: () => activeSpan()?.spanId }, async ({ root }: Untyped) => {
    const none = trace.wrapSpanContext({ traceId: '0'.repeat(32), spanId: 'x', traceFlags: 1 })
    const id = await context.with(trace.setSpan(context.active(), none), () => root.spanId())
    t.equal(id, undefined)
  })
)

t.test('trace contexts from a peer', async t => {
  t.ok(isTraceparent(TRACEPARENT))
  t.same(parseMessage(JSON.parse(formatTraced(TRACEPARENT, '[1,7,0,"add",[1]]'))), [
    ...[Op.traced, TRACEPARENT],
    ...[1, 7, 0, 'add', [1]]
  ])
  const bad = [
    undefined,
    1,
    '',
    TRACEPARENT.toUpperCase(),
    TRACEPARENT.replace('00-', 'ff-'),
    `${TRACEPARENT}-`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`
  ]
  for (const traceparent of bad) {
    t.notOk(isTraceparent(traceparent), String(traceparent))
    t.throws(() => parseMessage([Op.traced, traceparent, 1, 7, 0, 'add', []]), /not of the protocol/)
  }
  const wrapped = [
    [8, 1],
    [10, 1],
    [0, 1, {}],
    [Op.traced, TRACEPARENT, 2, 1, 0, 'a'],
    ['1', 1, 0, 'a', []],
    []
  ]
  for (const message of wrapped) {
    t.throws(() => parseMessage([Op.traced, TRACEPARENT, ...message]), /not of the protocol/, String(message))
  }
})

t.test('without the API of OpenTelemetry tracing does nothing', async t => {
  t.ok(tracing)
  const { getBuiltinModule } = process
  t.teardown(() => Object.assign(process, { getBuiltinModule }))
  const absent = () => ({
    createRequire: () => () => {
      throw new Error('Cannot find module')
    }
  })
  Object.assign(process, { getBuiltinModule: absent })
  const without = await t.mockImport<typeof import('../../lib/session/tracing.js')>(
    '../../lib/session/tracing.js',
    {}
  )
  t.equal(without.tracing, undefined)
})
