// Specs of hostile MCP clients over HTTP: each request is refused or fails by itself, and nothing stays. NETREF_FUZZ is the
// number of mutated requests, NETREF_FUZZ_SEED their seed.
import { once } from 'node:events'
import http from 'node:http'
import t from 'tap'
import { z } from 'zod'
import { callSession, expose, exposed, Service } from '../../../lib/index.js'
import { random as randomNumbers } from '../../support/chaos-proxy.js'
import { waitUntil } from '../../support/helpers.js'
import { post, withMcp } from '../../support/mcp.js'
import { callMessage, textOf } from '../../support/mcp-clients.js'
import type { Untyped } from '../../support/wire.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 1500)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.setTimeout(60_000 + COUNT * 20)

class Target extends Service {
  @exposed({ schema: z.tuple([z.unknown()]) })
  echo(value: unknown) {
    return value
  }
  @exposed({ schema: z.tuple([z.number()], z.number()) })
  add(first: number, ...others: number[]) {
    return others.reduce((a, b) => a + b, first)
  }
  @exposed({ schema: z.tuple([]) })
  open() {
    return { file: expose({ end() {} }), session: callSession()!.stats.exports }
  }
  @exposed({ schema: z.tuple([]) })
  *rows(): Untyped {
    yield 1
    yield () => {}
  }
}
const TOOLS = { tools: ['echo', 'add', 'open', 'rows'] }

t.test('texts that are no messages', async t => {
  const limits = { jsonBytes: 20_000 }
  await withMcp(t, Target, { ...TOOLS, limits }, async ({ url, errors }) => {
    const refused = async (body: string | Uint8Array, code: number, status = 400) =>
      t.match(
        await post(url, body),
        { status, message: { jsonrpc: '2.0', id: null, error: { code } } },
        String(body).slice(0, 40)
      )
    for (const text of ['', '{', 'x', '{"a":}', '\0', '[1', '"a']) await refused(text, -32700)
    for (const bytes of [[0xff], [0x22, 0xc3, 0x22]]) await refused(new Uint8Array(bytes), -32700)
    for (const text of [
      '{}',
      '[]',
      'null',
      '7',
      '"a"',
      '[[]]',
      '{"jsonrpc":"2.0"}',
      '{"jsonrpc":"1.0","id":1,"method":"ping"}'
    ])
      t.match(await post(url, text), { status: 400, message: { error: {} } }, text)
    const nested = (depth: number) =>
      JSON.stringify(callMessage('echo', { value: 0 })).replace(
        '0}',
        `${'['.repeat(depth)}${']'.repeat(depth)}}`
      )
    t.match(await post(url, nested(150)), { status: 200 })
    t.match(await post(url, nested(9000)), {
      status: 400,
      message: { error: { message: /nested deeper than 204 levels/ } }
    })
    t.match(await post(url, `"${'x'.repeat(20_000)}"`), { status: 413, text: /longer than 20000 bytes/ })
    t.match(await post(url, callMessage('who'), { headers: { 'content-encoding': 'gzip' } }), { status: 415 })
    t.same(errors, [], 'nothing is reported')
  })
})

t.test('a body that does not go on', async t => {
  await withMcp(t, Target, { ...TOOLS, limits: { helloMs: 100 } }, async ({ url }) => {
    const request = http.request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 100 }
    })
    request.write('{')
    const [response] = await new Promise<[http.IncomingMessage]>(resolve =>
      request.once('response', (...args) => resolve(args))
    )
    t.equal(response.statusCode, 408)
    request.destroy()
  })
})

t.test('arguments that are none', async t => {
  await withMcp(t, Target, TOOLS, async ({ url }) => {
    const called = async (params: string) =>
      (await post(url, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`)).message
    for (const params of ['[]', '7']) t.match(await called(params), { error: { code: -32600 } }, params)
    for (const params of [
      '{}',
      '{"name":7}',
      '{"name":"echo","arguments":[]}',
      '{"name":"echo","arguments":7}'
    ])
      t.match(await called(params), { error: { code: -32602 } }, params)
    for (const name of ['__proto__', 'constructor', 'toString', '', 'ech', 'echo.call', 'x'.repeat(10_000)])
      t.match(await called(JSON.stringify({ name })), { error: { code: -32602 } }, name.slice(0, 20))
    const fails = async (args: string, text: RegExp) =>
      t.match(await called(`{"name":"add","arguments":${args}}`), {
        result: { isError: true, content: [{ text }] }
      })
    await fails('{"first":1,"constructor":1}', /no parameter has the name "constructor"/)
    await fails('{"first":1,"others":{"length":1e9}}', /"others" is a list/)
    await fails('{"first":1,"...others":[1]}', /no parameter has the name "...others"/)
    await fails('{}', /"first" is missing/)
    t.match(await called('{"name":"echo","arguments":{"value":{"__proto__":{"a":1},"then":1}}}'), {
      result: { content: [{ text: '{"__proto__":{"a":1},"then":1}' }] }
    })
    const meta = '{"name":"echo","arguments":{"value":1},"_meta":{"progressToken":1,"a":{"b":1}}}'
    t.equal(textOf((await called(meta)).result), '1')
  })
})

t.test('a client that stops reading again and again adds no listeners', async t => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => void warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  await withMcp(t, Target, TOOLS, async ({ url }) => {
    const value = 'x'.repeat(150_000)
    const batch = Array.from({ length: 20 }, (_, id) => ({ ...callMessage('echo', { value }), id: id + 1 }))
    const request = http.request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    })
    request.end(JSON.stringify(batch))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    let length = 0
    for await (const chunk of response) {
      length += (chunk as Buffer).length
      await new Promise(setImmediate)
    }
    t.ok(length > 3_000_000)
    t.same(warnings, [])
  })
})

t.test('the results of a batch have a bound', async t => {
  await withMcp(t, Target, { ...TOOLS, limits: { frameBytes: 200_000 } }, async ({ url }) => {
    const value = 'x'.repeat(50_000)
    const batch = Array.from({ length: 10 }, (_, id) => ({ ...callMessage('echo', { value }), id: id + 1 }))
    const { text } = await post(url, batch)
    const answers = [...text.matchAll(/^data: (.+)$/gm)].map(([, json]) => JSON.parse(json!))
    const errors = answers.filter(({ result }) => result.isError).map(({ result }) => textOf(result))
    t.equal(answers.length, 10)
    t.same(errors, Array(6).fill('the results of the batch are too long (limits.frameBytes)'))
  })
})

const SEEDS = [
  JSON.stringify(callMessage('echo', { value: { a: [1, '}"', null] } })),
  JSON.stringify(callMessage('add', { first: 1, others: [2, 3] }, 'x')),
  JSON.stringify(callMessage('open')),
  JSON.stringify(callMessage('rows')),
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"a"}}',
  '{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"a","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"first":1},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"a","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}',
  '{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"a","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}',
  '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
  '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"result":{}}]'
]
const PIECES = [
  ...['{', '}', '[', ']', '"', '\\', ',', ':', ' ', '\n', '\0', '\xff', '1e999', '-0', 'null', 'true'],
  ...[
    '9'.repeat(30),
    '"__proto__":',
    '"constructor":',
    '"then":',
    '"id":',
    '"params":',
    '"name":',
    '"_meta":'
  ],
  ...['"arguments":', '"method":"tools/call"', '"progressToken":1', '\\ud800', '\\u0000', '[[[[[[[[', '{"a":']
]
const VERSIONS = [undefined, '2025-06-18', '2026-07-28', '2099-01-01', 'x']
const METHODS = [undefined, 'tools/call', 'server/discover', '__proto__']

t.test(`${COUNT} mutated requests do no harm`, async t => {
  t.comment(`NETREF_FUZZ=${COUNT} NETREF_FUZZ_SEED=${SEED}`)
  const random = randomNumbers(SEED)
  const below = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!
  const mutate = (text: string): string => {
    for (let rest = below(4); rest > 0; rest--) {
      const at = below(text.length + 1)
      const to = Math.min(text.length, at + below(12))
      const change = below(4)
      if (change === 0) text = text.slice(0, at) + pick(PIECES) + text.slice(at)
      else if (change === 1) text = text.slice(0, at) + text.slice(to)
      else if (change === 2) text = text.slice(0, at) + pick(PIECES) + text.slice(to)
      else text = text.slice(0, at) + text.slice(at, to).repeat(below(20)) + text.slice(to)
    }
    return text
  }
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  await withMcp(t, Target, TOOLS, async ({ url, server, errors }) => {
    const statuses = new Map<number, number>()
    const send = async () => {
      const [version, method] = random() < 0.3 ? [pick(VERSIONS), pick(METHODS)] : []
      const headers = {
        ...(version && { 'mcp-protocol-version': version }),
        ...(method && { 'mcp-method': method }),
        ...(random() < 0.3 && { 'mcp-session-id': 'a', 'mcp-name': pick(TOOLS.tools) })
      }
      const body = Buffer.from(mutate(pick(SEEDS)), 'latin1')
      const { status } = await post(url, body, { headers, agent })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    for (let sent = 0; sent < COUNT; sent += 8) await Promise.all(Array.from({ length: 8 }, send))
    agent.destroy()
    t.comment(Object.fromEntries(statuses))
    t.same(
      [...statuses.keys()].filter(status => status >= 500),
      []
    )
    t.ok(statuses.get(200)! > COUNT / 20, 'enough of them are calls')
    t.same(errors, [])
    await waitUntil(() => server.sessions.size === 0)
    t.equal(
      textOf((await post(url, callMessage('echo', { value: 'still here' }))).message.result),
      'still here'
    )
  })
})
