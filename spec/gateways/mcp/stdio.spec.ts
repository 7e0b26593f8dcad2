// Specs of `serveMcp` over streams in this process.
import { once } from 'node:events'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { StdioServerTransport as StreamsV1 } from '@modelcontextprotocol/sdk/server/stdio.js'
import { StdioServerTransport as StreamsV2 } from '@modelcontextprotocol/server/stdio'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { type McpServing, type ServeMcpOptions, serveMcp } from '../../../lib/gateways/mcp.js'
import { callSession, callSignal, exposed, Service, type Session } from '../../../lib/index.js'
import { assertClean, waitUntil } from '../../support/helpers.js'
import {
  callMessage,
  MCP_CLIENT_NAMES,
  MCP_CLIENTS,
  type McpClient,
  type McpClientName,
  textOf
} from '../../support/mcp-clients.js'

const NONE = z.tuple([])
const events: string[] = []
let session: Session | undefined

class Target extends Service {
  #count = 0
  override onConnect(opened: Session) {
    session = opened
  }
  override onDisconnect() {
    events.push('disconnected')
  }
  @exposed({ schema: NONE })
  count() {
    return ++this.#count
  }
  @exposed({ schema: z.tuple([z.unknown()]) })
  echo(value: unknown) {
    return value
  }
  @exposed({ schema: NONE })
  async slow() {
    const signal = callSignal()
    events.push('slow begins')
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    events.push('slow is cancelled')
  }
  @exposed({ schema: NONE })
  leave() {
    void callSession()!.close()
  }
  @exposed({ schema: NONE })
  fail() {
    throw new RangeError('on purpose')
  }
  @exposed
  untyped() {}
}

const TOOLS = ['count', 'echo', 'fail', 'leave', 'slow']

/** Serves over two streams, whose other ends `use` gets; then asserts that nothing is left. */
async function withStreams(
  t: Test,
  options: Partial<ServeMcpOptions>,
  use: (toServer: PassThrough, fromServer: PassThrough, serving: McpServing) => Promise<void>
) {
  const [input, output] = [new PassThrough(), new PassThrough()]
  {
    await using serving = await serveMcp(Target, { tools: TOOLS, ...options, input, output })
    events.length = 0
    await use(input, output, serving)
  }
  t.ok(events.includes('disconnected'))
  await assertClean(t, session!)
}

/** Connects a client to the other ends of the streams. */
function connect(name: McpClientName, toServer: Writable, fromServer: Readable): Promise<McpClient> {
  // The transport of servers is that of clients, too, with the streams exchanged.
  const Transport = name.startsWith('SDK 1') ? StreamsV1 : StreamsV2
  return MCP_CLIENTS[name](new Transport(fromServer, toServer))
}

t.test('each kind of client has one session', async t => {
  for (const name of MCP_CLIENT_NAMES)
    await withStreams(t, {}, async (toServer, fromServer, serving) => {
      t.same(serving.tools, TOOLS)
      const client = await connect(name, toServer, fromServer)
      t.same(
        (await client.list()).map(({ name }) => name),
        serving.tools
      )
      for (const n of [1, 2]) t.equal(textOf(await client.call('count')), String(n))
      await t.rejects(client.call('untyped'), { code: -32602 })
      events.length = 0
      const abort = new AbortController()
      const call = client.call('slow', {}, abort)
      await waitUntil(() => events.includes('slow begins'))
      abort.abort(new Error('no longer wanted'))
      await t.rejects(call, /no longer wanted/)
      await waitUntil(() => events.includes('slow is cancelled'))
      t.equal(textOf(await client.call('count')), '3', 'the session goes on')
      const calls = Array.from({ length: 1000 }, (_, i) => client.call('echo', { value: i }))
      t.same(
        (await Promise.all(calls)).map(textOf),
        calls.map((_, i) => String(i)),
        '1000 in flight'
      )
    })
})

t.test('the end of a stream ends the session, and cancels its calls', async t => {
  const ends: [string, (toServer: PassThrough, fromServer: PassThrough) => void][] = [
    ['input', toServer => void toServer.end()],
    ['output', (_, fromServer) => void fromServer.destroy(new Error('EPIPE'))]
  ]
  for (const [what, end] of ends)
    await withStreams(t, {}, async (toServer, fromServer, serving) => {
      fromServer.on('error', () => {})
      toServer.write(`${JSON.stringify(callMessage('slow'))}\n`)
      await waitUntil(() => events.includes('slow begins'))
      end(toServer, fromServer)
      await serving.closed
      await waitUntil(() => events.includes('slow is cancelled'), what)
    })
})

t.test('a service that closes the session ends it', async t => {
  await withStreams(t, {}, async (toServer, _, serving) => {
    toServer.write(`${JSON.stringify(callMessage('leave'))}\n`)
    await serving.closed
  })
})

t.test('named tools, and what is wrong with them', async t => {
  const errors: unknown[] = []
  const onError = (error: unknown, context: { session: Session | undefined }) =>
    void errors.push([String(error), context.session === session])
  await withStreams(t, { tools: ['count', 'untyped'], onError }, async (_, __, serving) => {
    t.same(serving.tools, ['count'])
    t.match(errors, [[/"untyped" is no tool: it has no schema/, true]])
  })
  const { error } = console
  const printed: unknown[] = []
  console.error = (line: unknown) => printed.push(line)
  await withStreams(t, { tools: ['count', 'missing'] }, async () => {})
  console.error = error
  t.match(printed, [/^netref: Error: mcp: "missing" is no tool/])
  await t.rejects(serveMcp(Target, { tools: [] }), { message: /serveMcp: `tools` takes the names/ })
  await t.rejects(serveMcp(Target, undefined as never), {
    message: /serveMcp: `tools` takes .*not undefined/
  })
  await t.rejects(serveMcp(Target, {} as never), { message: /serveMcp: `tools` takes .*not undefined/ })
  class Closed extends Service {
    override onConnect(opened: Session) {
      void opened.close()
    }
  }
  await t.rejects(serveMcp(Closed, { tools: TOOLS }), { name: 'SessionEndedError' })
  await t.rejects(serveMcp(7 as never, { tools: TOOLS }), { name: 'TypeError' })
  await t.rejects(serveMcp(Target, { inputs: 1 } as never), { message: /did you mean `input`/ })
  await t.rejects(serveMcp(Target, { tools: TOOLS, limits: { jsonByte: 1 } } as never), {
    message: /jsonByte/
  })
})

t.test('options of the session hold', async t => {
  await withStreams(t, { exposeStacks: true, tools: ['fail'] }, async (toServer, fromServer) => {
    toServer.write(`${JSON.stringify(callMessage('fail'))}\n`)
    const [line] = await once(fromServer, 'data')
    t.match(JSON.parse(String(line)).result.content[0].text, /^RangeError: on purpose\n.*stdio.spec/s)
  })
})

t.test('hostile input', async t => {
  const limits = { jsonBytes: 100_000, depth: undefined }
  await withStreams(t, { limits }, async (toServer, fromServer, serving) => {
    const lines: string[] = []
    fromServer.setEncoding('utf8').on('data', text => lines.push(...text.trim().split('\n')))
    const deep = '['.repeat(40_000) + ']'.repeat(40_000)
    for (const line of ['{', '[]', '7', 'null', '\0', '"text"', '{"jsonrpc":"2.0"}', '', '[[[', deep])
      toServer.write(`${line}\n`)
    toServer.write(`${JSON.stringify(callMessage('echo', { value: 'DEEP' })).replace('"DEEP"', deep)}\n`)
    toServer.write(`${JSON.stringify(callMessage('count', {}, 2))}\n`)
    await waitUntil(() => lines.length >= 2)
    const [refused, answered] = lines.map(line => JSON.parse(line)).sort((a, b) => a.id - b.id)
    t.match(refused, { id: 1, result: { isError: true, content: [{ text: /depth/ }] } })
    t.match(answered, { id: 2, result: { content: [{ text: '1' }] } }, 'what came before is no matter')
    toServer.write('x'.repeat(limits.jsonBytes + 1))
    await serving.closed
  })
})
