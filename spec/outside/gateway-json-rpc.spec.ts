// Tests the JSON-RPC gateway with clients of other languages, and connectJsonRpc with servers of other makes.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { JSONRPCClient, JSONRPCServer } from 'json-rpc-2.0'
import t from 'tap'
import { connectJsonRpc } from '../../lib/gateways/json-rpc.js'
import { expose, Netref, Service } from '../../lib/index.js'
import { CHILD_ENV, rejectionOf } from '../support/helpers.js'
import { pythonWith } from '../support/installed-programs.js'
import { post, withJsonRpc } from '../support/json-rpc.js'
import type { Untyped } from '../support/wire.js'

const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url))
const PYTHON = pythonWith('jsonrpclib')
const NO_PELIX = !PYTHON && 'not installed here: python3-jsonrpclib-pelix (.ci/run installs it)'

class Examples extends Service {
  static override help = { add: 'Adds two numbers' }
  exposed_Arith = { Add: ({ X, Y }: { X: number; Y: number }) => X + Y }
  exposed_math = { half: (x: number) => x / 2, double: (x: number) => x * 2 }
  exposed_add(a: number, b = 1) {
    return a + b
  }
  exposed_echo = (value: unknown) => value
  exposed_bytes = () => Uint8Array.of(0, 255)
  exposed_nothing() {}
  exposed_wait = (ms: number) => new Promise(resolve => setTimeout(resolve, ms, ms))
  exposed_fail(): never {
    throw new Error('no such thing')
  }
  exposed_numbered(): never {
    throw Object.assign(new RangeError('sold out'), { code: 17, left: 3 })
  }
  exposed_reference(): Untyped {
    return [expose({})]
  }
}

/** Runs a program. @returns what it prints; a failure, with what it says */
async function run(program: string, ...args: string[]): Promise<string> {
  const child = spawn(program, args, { cwd: PROGRAMS, env: { ...CHILD_ENV, PYTHONDONTWRITEBYTECODE: '1' } })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return code === 0 ? stdout : `${stdout}${stderr}failed with ${code}`
}

t.test('jsonrpclib-pelix', { skip: NO_PELIX }, async t => {
  const errors: unknown[] = []
  await withJsonRpc(
    t,
    Examples,
    async ({ url }) => {
      const printed = await run(PYTHON!, 'jsonrpc_pelix_client.py', url)
      t.same(
        printed
          .trimEnd()
          .split('\n')
          .map(line => JSON.parse(line)),
        [
          ...[
            3,
            6,
            5,
            { list: [1, null, true, 'é'], nested: { a: -1.5 } },
            2 ** 40,
            'AP8=',
            null,
            null,
            true
          ],
          'Adds two numbers',
          [53, 8],
          ['protocol', -32601],
          ['protocol', -32602],
          ['protocol', -32000],
          ['app', 17, { name: 'RangeError', left: 3 }],
          ['protocol', -32000],
          ...[9, null],
          ['protocol', 'no such thing'],
          39800
        ]
      )
    },
    { onError: error => void errors.push(error) }
  )
  t.same(errors, [])
})

t.test(
  'a bare socket of Python',
  { skip: !pythonWith('socket') && 'not installed here: python3' },
  async t => {
    await withJsonRpc(t, Examples, async ({ port }) => {
      t.equal(
        await run(pythonWith('socket')!, 'jsonrpc_socket_client.py', '127.0.0.1', String(port)),
        [
          "{'id': 0, 'result': 60, 'error': None}",
          '[3, 7]',
          '}{"é',
          '500500',
          "{'id': 4, 'result': {}, 'error': None} ''",
          ''
        ].join('\n')
      )
    })
  }
)

t.test('curl', { skip: spawnSync('curl', ['--version']).error && 'not installed here: curl' }, async t => {
  await withJsonRpc(t, Examples, async ({ url }) => {
    const json = ['-s', '-H', 'content-type: application/json', '-d']
    t.equal(
      await run('curl', ...json, '{"jsonrpc":"2.0","method":"add","params":{"a":1},"id":"x"}', url),
      '{"jsonrpc":"2.0","id":"x","result":2}'
    )
    t.match(await run('curl', '-s', '-d', '{}', url), /not accepted here; .*application\/json/)
  })
})

t.test(
  "Go's net/rpc/jsonrpc",
  { skip: spawnSync('go', ['version']).error && 'not installed here: go' },
  async t => {
    const program = `${t.testdir()}/client`
    const env = { ...CHILD_ENV, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' }
    const built = spawnSync('go', ['build', '-o', program, 'jsonrpc_client.go'], {
      cwd: PROGRAMS,
      env,
      encoding: 'utf8'
    })
    t.equal(built.stderr, '')
    await withJsonRpc(t, Examples, async ({ port }) => {
      t.equal(
        await run(program, `127.0.0.1:${port}`),
        [
          ...['<nil> 30', '<nil> -5', '<nil> 4', '<nil> 2.5', '<nil> true', '<nil> [0 255]', '<nil>'],
          ...['true no such thing', 'true', 'fast first', '999000', '<nil>', '']
        ].join('\n')
      )
    })
  }
)

t.test('json-rpc-2.0 of npm, on both ends', async t => {
  await withJsonRpc(t, Examples, async ({ url }) => {
    const client: JSONRPCClient = new JSONRPCClient(async request => client.receive(await post(url, request)))
    t.equal(await client.request('add', { a: 1, b: 2 }), 3)
    t.same(await client.request('math.double', [4]), 8)
    t.match(await rejectionOf(client.request('missing', [])), { code: -32601 })
    t.match(await rejectionOf(client.request('numbered', [])), { code: 17, data: { left: 3 } })
    const answers = await client.requestAdvanced([
      { jsonrpc: '2.0', method: 'add', params: [1], id: 1 },
      { jsonrpc: '2.0', method: 'missing', id: 2 }
    ])
    t.match(answers, [
      { id: 1, result: 2 },
      { id: 2, error: { code: -32601 } }
    ])
  })
  const server = new JSONRPCServer({ errorListener() {} })
  server.addMethod('add', ([a, b]) => a + b)
  server.addMethod('math.double', ([x]) => x * 2)
  server.addMethod('fail', () => {
    throw new Error('no such thing')
  })
  const http = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const answer = await server.receiveJSON(text)
    response.writeHead(answer ? 200 : 204).end(answer ? JSON.stringify(answer) : undefined)
  }).listen(0, '127.0.0.1')
  await once(http, 'listening')
  await using conn = connectJsonRpc(`http://127.0.0.1:${(http.address() as AddressInfo).port}`)
  const root = conn.root as Untyped
  t.same(await Promise.all([root.add(1, 2), root.math.double(4)]), [3, 8])
  t.match(await rejectionOf(root.fail()), { name: 'JsonRpcError', message: 'no such thing' })
  t.match(await rejectionOf(root.missing()), { code: -32601 })
  await Netref.oneway(root.add)(1, 2)
  http.closeAllConnections()
  http.close()
})

t.test('connectJsonRpc calls the server of jsonrpclib-pelix', { skip: NO_PELIX }, async t => {
  const python: ChildProcess = spawn(PYTHON!, ['jsonrpc_pelix_server.py'], { cwd: PROGRAMS, env: CHILD_ENV })
  t.teardown(() => python.kill())
  const [line] = await once(python.stdout!.setEncoding('utf8'), 'data')
  await using conn = connectJsonRpc(`http://127.0.0.1:${String(line).trim()}`)
  const root = conn.root as Untyped
  t.equal(await root.add(1, 2), 3)
  t.same(
    await Promise.all(Array.from({ length: 50 }, (_, i) => root.add(i, 1))),
    Array.from({ length: 50 }, (_, i) => i + 1)
  )
  t.match(await rejectionOf(root.fail()), { name: 'JsonRpcError', code: -32603, message: /ValueError/ })
  t.match(await rejectionOf(root.missing()), { code: -32601 })
  t.ok((await Netref.describe(root)).some(({ name, help }) => name === 'add' && help === 'Adds two numbers'))
})
