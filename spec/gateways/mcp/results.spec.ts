// Specs of results that are not plain data, and of calls that take their time.
import { EventEmitter, once } from 'node:events'
import { Agent } from 'node:http'
import t from 'tap'
import { z } from 'zod'
import { callSignal, expose, exposed, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { connectHttp, post, withEachClient, withMcp } from '../../support/mcp.js'
import { callMessage, MCP_CLIENT_NAMES, textOf } from '../../support/mcp-clients.js'

const NONE = z.tuple([])
/** What has happened, by the names of methods. */
const events: string[] = []
/** Number of calls of `meet` that are still to come. */
let waiting = 0
const meeting = new EventEmitter().setMaxListeners(0)

class Results extends Service {
  @exposed({ schema: z.tuple([z.number()]) })
  *count(to: number) {
    try {
      for (let n = 1; n <= to; n++) yield { n }
    } finally {
      events.push('count left')
    }
  }
  @exposed({ schema: NONE })
  async *broken() {
    yield 1
    throw new RangeError('no second item')
  }
  @exposed({ schema: NONE })
  *references() {
    yield 1
    yield { close: expose({ end() {} }) }
  }
  @exposed({ schema: NONE })
  stream() {
    return ReadableStream.from(['a', 'b'])
  }
  @exposed({ schema: NONE })
  reference() {
    return { file: expose({ read() {} }), rows: this.count(1) }
  }
  @exposed({ schema: NONE })
  itself() {
    return expose({ read() {} })
  }
  @exposed({ schema: z.tuple([z.number()]) })
  long(length: number) {
    return 'x'.repeat(length)
  }
  @exposed({ schema: z.tuple([z.unknown()]) })
  echo(value: unknown) {
    return value
  }
  @exposed({ schema: NONE })
  async slow() {
    events.push('slow begins')
    await new Promise(resolve => callSignal().addEventListener('abort', resolve))
    events.push('slow is cancelled')
  }
  @exposed({ schema: z.tuple([z.number()]) })
  async meet(value: number) {
    if (--waiting === 0) meeting.emit('complete')
    else await once(meeting, 'complete')
    return value
  }
  @exposed({ schema: NONE })
  fail() {
    throw new Error('on purpose')
  }
}

const TOOLS = [
  ...[
    'count',
    'broken',
    'references',
    'stream',
    'reference',
    'itself',
    'long',
    'echo',
    'slow',
    'fail',
    'meet'
  ]
]

t.test('an iterator becomes a list, within the limits', async t => {
  const limits = { jsonBytes: 20_000 }
  await withMcp(t, Results, { tools: TOOLS, limits }, async ({ url }) => {
    await withEachClient(t, url, async (t, client) => {
      t.equal(textOf(await client.call('count', { to: 3 })), '[{"n":1},{"n":2},{"n":3}]')
      t.equal(textOf(await client.call('count', { to: 0 })), '[]')
      t.equal(textOf(await client.call('stream')), '["a","b"]')
      events.length = 0
      const result = await client.call('count', { to: 1e9 })
      t.equal(result.isError, true)
      t.match(
        textOf(result),
        /the list is longer than 20000 characters \(limits.jsonBytes\), after 1\d{3} items/
      )
      await waitUntil(() => events.includes('count left'))
      t.match(await client.call('broken'), {
        isError: true,
        content: [{ text: 'RangeError: no second item' }]
      })
      t.match(await client.call('references'), {
        isError: true,
        content: [{ text: /result\[1\].close is a reference, and MCP has none/ }]
      })
    })
  })
})

t.test('a reference has no form', async t => {
  await withMcp(t, Results, { tools: TOOLS }, async ({ url, server }) => {
    await withEachClient(t, url, async (t, client) => {
      t.match(await client.call('reference'), {
        isError: true,
        content: [{ text: /^NoFormError: result.file is a reference, and MCP has none; pass plain data/ }]
      })
      t.match(await client.call('itself'), { isError: true, content: [{ text: /result is a reference/ }] })
      t.match(await client.call('echo', { value: { deep: [[1]] } }), { structuredContent: { deep: [[1]] } })
      t.match(server.metrics, { exports: 0, imports: 0 })
    })
  })
})

t.test('a client that cancels its call cancels it in the service', async t => {
  await withMcp(t, Results, { tools: TOOLS }, async ({ url, server }) => {
    await withEachClient(t, url, async (t, client) => {
      events.length = 0
      const abort = new AbortController()
      const call = client.call('slow', {}, abort)
      await waitUntil(() => events.includes('slow begins'))
      abort.abort(new Error('no longer wanted'))
      await t.rejects(call, /no longer wanted/)
      await waitUntil(() => events.includes('slow is cancelled'))
      await waitUntil(() => server.sessions.size === 0)
      t.equal(textOf(await client.call('count', { to: 1 })), '[{"n":1}]', 'the client goes on')
    })
  })
})

t.test('a client that goes away cancels its calls', async t => {
  await withMcp(t, Results, { tools: TOOLS }, async ({ url }) => {
    for (const name of MCP_CLIENT_NAMES) {
      events.length = 0
      const client = await connectHttp(name, url)
      const call = t.rejects(client.call('slow'))
      await waitUntil(() => events.includes('slow begins'))
      await client.close()
      await call
      await waitUntil(() => events.includes('slow is cancelled'))
    }
  })
})

t.test('stacks are told only if the server exposes them', async t => {
  for (const exposeStacks of [false, true])
    await withMcp(t, Results, { tools: TOOLS, exposeStacks }, async ({ url }) => {
      const client = await connectHttp('SDK 2, 2026-07-28', url)
      const text = textOf(await client.call('fail'))
      t.match(text, /^Error: on purpose/)
      t.equal(/results.spec/.test(text), exposeStacks)
      await client.close()
    })
})

t.test('1000 calls in flight', async t => {
  await withMcp(t, Results, { tools: TOOLS }, async ({ url, server }) => {
    waiting = 1000
    const agent = new Agent({ maxSockets: waiting })
    const answers = await Promise.all(
      Array.from({ length: waiting }, (_, i) => post(url, callMessage('meet', { value: i }), { agent }))
    )
    t.ok(answers.every(({ status, message }, i) => status === 200 && textOf(message.result) === String(i)))
    t.equal(waiting, 0, 'all ran at the same time')
    agent.destroy()
    t.match(server.metrics.gateways, { mcp: { clientsTotal: 1000, clientsRefused: 0 } })
  })
})
