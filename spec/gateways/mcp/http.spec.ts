// Specs of MCP over HTTP: requests, versions, authentication, pages, and the end of the server.

import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import t from 'tap'
import { z } from 'zod'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import { mcp } from '../../../lib/gateways/mcp.js'
import { callSession, callSignal, exposed, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { connectHttp, post, withMcp } from '../../support/mcp.js'
import { callMessage, MCP_CLIENT_NAMES, textOf } from '../../support/mcp-clients.js'

const NONE = z.tuple([])
const calls: string[] = []
const gate = new EventEmitter()

class Target extends Service {
  @exposed({ schema: NONE })
  who() {
    const { identity, gateway } = callSession()!
    return { identity, gateway }
  }
  @exposed({ schema: NONE })
  async wait() {
    calls.push('wait')
    const signal = callSignal()
    await new Promise<void>(resolve => {
      gate.once('release', resolve)
      signal.addEventListener('abort', () => resolve())
    })
    calls.push(signal.aborted ? 'cancelled' : 'done')
    return 'waited'
  }
  @exposed({ schema: z.tuple([z.number()]) })
  text(length: number) {
    return 'x'.repeat(length)
  }
}
const TOOLS = { tools: ['who', 'wait', 'text'] }
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'spec', version: '1' } }
}

t.test('each request stands for itself', async t => {
  await withMcp(t, Target, TOOLS, async ({ url }) => {
    const { status, message, headers } = await post(url, callMessage('who'))
    t.match([status, message], [200, { id: 1, result: { structuredContent: { gateway: 'mcp' } } }])
    t.match(headers['content-type'], 'text/event-stream')
    for (const method of ['GET', 'DELETE', 'PUT']) {
      const refused = await post(url, '', { method })
      t.match(refused, { status: 405, headers: { allow: 'POST' } }, method)
    }
    t.equal((await post(new URL('/other', url), callMessage('who'))).status, 404)
    t.match(await post(url, { jsonrpc: '2.0', method: 'notifications/initialized' }), {
      status: 202,
      text: ''
    })
    t.match(await post(url, callMessage('who'), { headers: { accept: 'application/json' } }), { status: 406 })
    t.match(await post(url, callMessage('who'), { headers: { 'content-type': 'text/plain' } }), {
      status: 415
    })
    t.match(await post(url, { ...callMessage('who'), method: 'resources/list' }), {
      message: { error: { code: -32601 } }
    })
    t.match(await post(url, { ...callMessage('who'), method: 'ping' }), { message: { result: {} } })
  })
})

t.test('versions', async t => {
  await withMcp(t, Target, TOOLS, async ({ url }) => {
    const negotiated = async (protocolVersion: string) =>
      (await post(url, { ...INITIALIZE, params: { ...INITIALIZE.params, protocolVersion } })).message.result
        .protocolVersion
    for (const version of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])
      t.equal(await negotiated(version), version)
    t.equal(
      await negotiated('1999-01-01'),
      '2025-11-25',
      'an unknown one is answered by the latest of that kind'
    )
    const named = (version: string) =>
      post(url, callMessage('who'), { headers: { 'mcp-protocol-version': version } })
    t.equal((await named('2025-06-18')).status, 200)
    t.match(await named('1999-01-01'), {
      status: 400,
      message: { error: { message: /Unsupported protocol version/ } }
    })
    const claimed = { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' }
    const later = { ...callMessage('who'), params: { name: 'who', _meta: claimed } }
    t.match(await post(url, later), { status: 400, message: { id: 1, error: {} } })
  })
})

t.test('batches, which version 2025-03-26 has', async t => {
  await withMcp(t, Target, TOOLS, async ({ url }) => {
    const { text } = await post(url, [callMessage('who', {}, 1), callMessage('text', { length: 2 }, 'b')])
    const answers = [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json!))
    t.match(
      answers.find(({ id }) => id === 'b'),
      { result: { content: [{ text: 'xx' }] } }
    )
    t.match(
      answers.find(({ id }) => id === 1),
      { result: { content: [{ text: /mcp/ }] } }
    )
    const many = Array.from({ length: 101 }, (_, i) => callMessage('who', {}, i))
    t.match(await post(url, many), { status: 400, message: { error: { code: -32600 } } })
    t.match(await post(url, []), { status: 400 })
  })
})

t.test('authentication is asked for each request, before its body is read', async t => {
  const seen: unknown[] = []
  const authenticate = async ({
    token,
    gateway
  }: {
    token(): Promise<string | undefined>
    gateway?: string
  }) => {
    seen.push(gateway)
    const bearer = await token()
    if (bearer === 'full') throw Object.assign(new Error('full'), { status: 503 })
    return bearer === 'secret' && 'ada'
  }
  await withMcp(t, Target, { ...TOOLS, authenticate }, async ({ url, server }) => {
    for (const body of [callMessage('who'), INITIALIZE, '{', []]) {
      const { status, headers } = await post(url, body)
      t.match([status, headers['www-authenticate']], [401, 'Bearer'])
    }
    t.match(await post(url, callMessage('who'), { headers: { authorization: 'Bearer wrong' } }), {
      status: 401
    })
    for (const name of MCP_CLIENT_NAMES) {
      await t.rejects(connectHttp(name, url), /HTTP 401|authentication failed/)
      const client = await connectHttp(name, url, { authorization: 'Bearer secret' })
      t.match(await client.call('who'), { structuredContent: { identity: 'ada', gateway: 'mcp' } })
      await client.close()
    }
    t.same([...new Set(seen)], ['mcp'])
    t.ok(server.metrics.gateways.mcp!.clientsRefused >= 8)
  })
  const own = { authenticate: () => 'a model' }
  await withMcp(t, Target, { ...TOOLS, authenticate: () => null, gateway: own }, async ({ url }) => {
    const { message } = await post(url, callMessage('who'))
    t.equal(message.result.structuredContent.identity, 'a model')
  })
})

t.test('pages', async t => {
  const allowedOrigins = ['http://app.example']
  await withMcp(t, Target, { ...TOOLS, allowedOrigins }, async ({ url }) => {
    const from = (origin: string, headers = {}) => post(url, INITIALIZE, { headers: { origin, ...headers } })
    t.match(await from('http://evil.example'), { status: 403 })
    t.match(await from('http://app.example', { 'content-type': 'text/plain' }), { status: 415 })
    t.match(await from('http://app.example'), {
      status: 200,
      headers: {
        'access-control-allow-origin': 'http://app.example',
        'access-control-expose-headers': 'mcp-session-id',
        'mcp-session-id': /^[\da-f-]{36}$/
      }
    })
    const preflight = await post(url, '', { method: 'OPTIONS', headers: { origin: 'http://app.example' } })
    t.match(preflight, {
      status: 204,
      headers: {
        'access-control-allow-headers': /mcp-session-id, mcp-protocol-version, mcp-method, mcp-name/
      }
    })
    t.match(await post(url, INITIALIZE, { headers: { host: 'evil.example' } }), { status: 403 })
  })
})

t.test('a client cancels by the name that it got, and no other can', async t => {
  await withMcp(t, Target, TOOLS, async ({ url }) => {
    const { headers } = await post(url, INITIALIZE)
    const session = { 'mcp-session-id': headers['mcp-session-id'] as string }
    const cancel = (requestId: unknown, headers: http.OutgoingHttpHeaders) =>
      post(url, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }, { headers })
    calls.length = 0
    const call = post(url, callMessage('wait', {}, 7), { headers: session })
    await waitUntil(() => calls.length === 1)
    for (const [id, headers] of [
      [7, {}],
      [7, { 'mcp-session-id': 'other' }],
      ['7', session],
      [undefined, session]
    ] as const)
      t.equal((await cancel(id, headers)).status, 202)
    t.same(calls, ['wait'])
    await cancel(7, session)
    await waitUntil(() => calls.includes('cancelled'))
    t.match(await call, { status: 200, text: '' }, 'a cancelled call is not answered')
    const twice = [1, 2].map(() => post(url, callMessage('wait', {}, 8), { headers: session }))
    await waitUntil(() => calls.filter(name => name === 'wait').length === 3)
    await cancel(8, session)
    await waitUntil(() => calls.filter(name => name === 'cancelled').length === 2)
    gate.emit('release')
    await Promise.all(twice)
  })
})

t.test('a server that closes lets calls finish', async t => {
  await withMcp(t, Target, TOOLS, async ({ url, server }) => {
    calls.length = 0
    const call = post(url, callMessage('wait'))
    await waitUntil(() => calls.length === 1)
    const closed = server.close({ drain: 10_000 })
    setImmediate(() => gate.emit('release'))
    t.equal(textOf((await call).message.result), 'waited')
    await closed
  })
  await withMcp(t, Target, TOOLS, async ({ url, server }) => {
    calls.length = 0
    const call = post(url, callMessage('wait'))
    await waitUntil(() => calls.length === 1)
    await server.close()
    t.match(await call, { message: { result: { isError: true, content: [{ text: /server/ }] } } })
  })
})

t.test('a client that does not read is cut off', async t => {
  const limits = { pauseMs: 200, jsonBytes: 1 << 25, frameBytes: 1 << 25, bufferedBytes: 1 << 25 }
  await withMcp(t, Target, { ...TOOLS, limits }, async ({ url, server }) => {
    const request = http.request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    })
    request.end(JSON.stringify(callMessage('text', { length: 30_000_000 })))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await waitUntil(() => server.metrics.gateways.mcp!.clients === 0)
    let length = 0
    const reading = async () => {
      for await (const chunk of response) length += chunk.length
    }
    await t.rejects(reading(), { code: 'ECONNRESET' })
    t.ok(length < 30_000_000)
  })
})

t.test('it has its own path beside other gateways, or its own port', async t => {
  const gateways = [jsonRpc(), mcp({ ...TOOLS, path: '/tools' }), mcp({ ...TOOLS, port: 0 })]
  await withMcp(t, Target, { ...TOOLS, gateways }, async ({ url, server }) => {
    const jsonRpcCall = { jsonrpc: '2.0', id: 1, method: 'text', params: [3] }
    t.match(await post(url, jsonRpcCall), { message: { result: 'xxx' } }, 'any other path is of JSON-RPC')
    t.match(await post(new URL('/tools', url), callMessage('who')), { message: { result: {} } })
    const own = new URL(`http://127.0.0.1:${server.gatewayPorts.mcp}/mcp`)
    t.match(await post(own, callMessage('who')), { message: { result: {} } })
  })
})
