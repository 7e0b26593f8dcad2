// Tests `netref mcp`: in this process with real streams, and started by the clients of the MCP SDK.
import { fileURLToPath } from 'node:url'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { StdioClientTransport as StdioClientTransportV1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import t from 'tap'
import { fails, program, Running } from '../support/command-line.js'
import { CHILD_ENV, waitUntil } from '../support/helpers.js'
import { callMessage, MCP_CLIENT_NAMES, MCP_CLIENTS, textOf } from '../support/mcp-clients.js'

const fixture = (name: string) => fileURLToPath(new URL(`../support/fixtures/cli/${name}`, import.meta.url))
const TOOLS = fixture('tools.ts')

t.test('netref mcp serves the named methods as tools', async t => {
  const running = new Running(['mcp', TOOLS, '--tools', 'fail,sum'])
  await waitUntil(() => /tools/.test(running.stderr))
  t.equal(running.stderr, 'tools: fail, sum\n', 'its output is for MCP alone')
  running.stdin.write(`${JSON.stringify(callMessage('fail'))}\n`)
  await running.says(/\n/)
  t.match(JSON.parse(running.stdout), {
    result: { content: [{ text: 'RangeError: on purpose' }], isError: true }
  })
  t.match(running.stderr, /^root.fail\(\) failed: RangeError: on purpose \(.*tools.ts:\d+:\d+\)$/m)
  running.stdin.end()
  t.equal(await running.ended, 0, 'it ends with its input')
})

t.test('netref mcp tells of a named method that has no schema', async t => {
  const running = new Running(['mcp', TOOLS, '--tools', 'sum, untyped'])
  await waitUntil(() => /tools:/.test(running.stderr))
  t.match(running.stderr, /^Error: mcp: "untyped" is no tool: it has no schema.*\ntools: sum\n$/)
  running.interrupt()
  t.equal(await running.ended, 0)
})

t.test('what cannot be served', async t => {
  await fails(t, ['mcp'], 2, 'netref mcp: FILE is missing\nSee netref mcp --help\n')
  await fails(t, ['mcp', TOOLS], 2, /netref mcp: no tools are named; .*--tools sum,ServiceA.Add\n/)
  await fails(t, ['mcp', 'nowhere.js', '--tools', 'a'], 2, /there is no file nowhere.js/)
  await fails(t, ['mcp', TOOLS, '--tools', 'a.b,a_b'], 2, /netref mcp: "a.b" and "a_b" in `tools` both give/)
  await fails(
    t,
    ['mcp', TOOLS, '--tools', 'fnd,untyped'],
    2,
    /^Error: mcp: "fnd" is no tool: .*\nError: mcp: "untyped" is no tool: .*\nnetref mcp: none of the named methods is a tool\n/
  )
})

t.test('clients start it, and get nothing but MCP from its standard output', async t => {
  const [command, ...args] = [process.execPath, ...program, 'mcp', TOOLS, '--tools', 'fail,sum']
  for (const name of MCP_CLIENT_NAMES) {
    const Transport = name.startsWith('SDK 1') ? StdioClientTransportV1 : StdioClientTransport
    const transport = new Transport({
      command,
      args,
      env: CHILD_ENV as Record<string, string>,
      stderr: 'pipe'
    })
    let stderr = ''
    transport.stderr!.on('data', text => {
      stderr += text
    })
    const errors: Error[] = []
    const client = await MCP_CLIENTS[name](transport)
    transport.onerror = error => errors.push(error)
    t.match(await client.list(), [{ name: 'fail' }, { name: 'sum', description: 'Adds two numbers' }])
    t.equal(textOf(await client.call('sum', { a: 1, b: 2 })), '3')
    t.match(await client.call('fail'), { isError: true, content: [{ text: 'RangeError: on purpose' }] })
    const { pid } = transport
    await client.close()
    t.throws(() => process.kill(pid!, 0), { code: 'ESRCH' }, 'it ends with its client')
    t.match(stderr, /^loaded\ntools: fail, sum\nadds\nwithout a line end/)
    t.same(errors, [])
  }
})
