// Specs of hostile clients of the JSON-RPC gateway: each ends its own connection or fails its own call, and nothing stays.
import t from 'tap'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import { Service, serve } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { post, postText, RawClient, withJsonRpc } from '../../support/json-rpc.js'
import type { Untyped } from '../../support/wire.js'

class Target extends Service {
  exposed_echo = (value: unknown) => value
  exposed_text = (length: number) => 'x'.repeat(length)
  exposed_list = (...values: unknown[]) => values.length
}

const ECHO = '{"method":"echo","params":[1],"id":1}'

t.test('bytes that are not JSON-RPC end the connection, at the first of them', async t => {
  await withJsonRpc(t, Target, async ({ port }) => {
    for (const foreign of ['POST / HTTP/1.1\r\n', '"text"', '1', ']', '}', '\0', '\u00a0', '\ufeff{}']) {
      const client = await RawClient.connect(port)
      await client.send(ECHO)
      await client.answers(1)
      await client.send(`${foreign}${ECHO}${ECHO}`)
      await client.closed
      const [, refusal, ...more] = client.lines.map(line => JSON.parse(line))
      t.match(refusal, { id: null, error: { code: -32700, message: /neither/ } }, JSON.stringify(foreign))
      t.same(more, [], 'nothing behind it is performed')
    }
  })
})

t.test('a page cannot reach the gateway by a request to its port', async t => {
  await withJsonRpc(
    t,
    Target,
    async ({ port, url }) => {
      const client = await RawClient.connect(port)
      const body = `${ECHO}\n${ECHO}`
      await client.send(
        `POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      )
      await waitUntil(() => client.lines.length > 0)
      t.match(client.lines[0], /^HTTP\/1\.1 403/)
      client.socket.destroy()
      const origin = { origin: 'null', 'content-type': 'text/plain' }
      t.equal((await postText(url, ECHO, origin)).status, 403)
    },
    { onError: () => {} }
  )
})

t.test('a text beyond the limits ends the connection', async t => {
  await withJsonRpc(
    t,
    Target,
    async ({ port }) => {
      for (const [hostile, message] of [
        [`{"method":"${'x'.repeat(5000)}`, /jsonBytes/],
        ['['.repeat(1000), /depth/],
        ['{"a":'.repeat(1000), /depth/]
      ] as const) {
        const client = await RawClient.connect(port)
        await client.send(hostile)
        await client.closed
        t.match(JSON.parse(client.lines[0]!), { error: { code: -32700, message } })
      }
    },
    { limits: { jsonBytes: 5000 } }
  )
})

t.test('a text that is not finished in time ends the connection', async t => {
  await withJsonRpc(
    t,
    Target,
    async ({ port }) => {
      const client = await RawClient.connect(port)
      await client.send(ECHO)
      await client.answers(1)
      await new Promise(resolve => setTimeout(resolve, 300))
      await client.send(ECHO)
      await client.answers(2)
      await client.send('{"method":')
      await client.closed
      t.match(
        JSON.parse(client.lines[2]!),
        { error: { message: /helloMs/ } },
        'between texts there is no limit'
      )
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('a client that never reads is cut', async t => {
  await withJsonRpc(
    t,
    Target,
    async ({ port, server }) => {
      const client = await RawClient.connect(port)
      client.socket.pause()
      for (let i = 0; i < 100; i++) void client.send('{"method":"text","params":[1000000],"id":1}')
      await waitUntil(() => server.sessions.size === 1)
      await waitUntil(() => server.sessions.size === 0, 'the end of the session')
      client.socket.destroy()
    },
    { limits: { pauseMs: 100 } }
  )
})

t.test('deep, odd and repeated members do no harm', async t => {
  await withJsonRpc(t, Target, async ({ url }) => {
    const request = (param: string) => `{"jsonrpc":"2.0","method":"echo","params":[${param}],"id":1}`
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    t.same(JSON.stringify((await post(url, request(nested(190)))).result), nested(190))
    for (const levels of [200, 201, 202, 10_000])
      t.ok((await post(url, request(nested(levels)))).error, `${levels} levels`)
    for (const member of ['__proto__', 'constructor', 'prototype', 'toJSON', 'then', 'hasOwnProperty'])
      t.match((await postText(url, request(`{"${member}":{"x":1}}`))).text, `{"${member}":{"x":1}}`)
    t.match(await post(url, '{"jsonrpc":"2.0","method":"echo","method":"list","params":[1],"id":1}'), {
      result: 1
    })
    t.match(await post(url, '{"jsonrpc":"2.0","method":"echo","params":{"__proto__":[]},"id":1}'), {
      error: { code: -32602 }
    })
    const digits = '9'.repeat(100_000)
    t.ok((await post(url, request(digits))).error, 'a number beyond all')
    t.match(await post(url, `{"jsonrpc":"2.0","method":"echo","params":[1],"id":${digits}}`), {
      error: { code: -32600 }
    })
    t.equal((await post(url, request('"\\ud800"'))).result, '\ud800')
    t.equal(({} as Untyped).x, undefined)
  })
})

t.test('many parameters, and many requests, are bounded', async t => {
  await withJsonRpc(t, Target, async ({ url }) => {
    const many = Array.from({ length: 50_000 }, () => 0)
    t.equal((await post(url, { jsonrpc: '2.0', method: 'list', params: many, id: 1 })).result, 50_000)
    const million = `{"jsonrpc":"2.0","method":"list","params":[${'0,'.repeat(1_000_000)}0],"id":1}`
    const { result, error } = await post(url, million)
    t.ok(result === 1_000_001 || error, 'answered')
    t.match(await post(url, `[${'1,'.repeat(1_000_000)}1]`), { error: { code: -32600 } })
    t.equal((await post(url, { jsonrpc: '2.0', method: 'echo', params: [1], id: 1 })).result, 1)
  })
})

t.test('a client that is not let in is refused before its text has arrived', async t => {
  const server = await serve(class extends Service {}, {
    port: 0,
    host: '127.0.0.1',
    authenticate: () => {
      throw new Error('no')
    },
    gateways: [jsonRpc()],
    onError: () => {}
  })
  const client = await RawClient.connect(server.port)
  await client.send(
    'POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{'
  )
  await waitUntil(() => client.lines.length > 0)
  t.match(client.lines[0], 'HTTP/1.1 503', 'what an error of authenticate is answered with')
  client.socket.destroy()
  await server.close()
})
