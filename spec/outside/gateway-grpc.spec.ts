// Runs a client of Python's grpcio against the gateway, and calls a server of it.
import { execFileSync, spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { connectGrpc } from '../../lib/gateways/grpc.js'
import { Netref, type Session, serve } from '../../lib/index.js'
import { Lab, library, log, PROTO } from '../support/grpc.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { pythonWith } from '../support/installed-programs.js'
import { Program } from '../support/program.js'

const PLUGIN = '/usr/bin/grpc_python_plugin'
const python = pythonWith('grpc', 'google.protobuf')
const hasCompiler = !spawnSync('protoc', ['--version']).error && !spawnSync(PLUGIN, { input: '' }).error
const skip =
  !(python && hasCompiler) &&
  'not installed here: python3-grpcio, protobuf-compiler-grpc (.ci/run installs them)'
t.setTimeout(240_000)

/** Starts a program of Python, with the modules that protoc makes of the .proto files. */
function start(t: Test, name: string, ...args: string[]): Program {
  const dir = t.testdir({})
  const sources = dirname(PROTO)
  execFileSync('protoc', [
    `-I${sources}`,
    `--python_out=${dir}`,
    `--grpc_out=${dir}`,
    `--plugin=protoc-gen-grpc=${PLUGIN}`,
    'library.proto',
    'shelf.proto'
  ])
  const program = fileURLToPath(new URL(`programs/${name}`, import.meta.url))
  return new Program(t, python!, [program, ...args], {
    env: { ...process.env, PYTHONPATH: dir, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' }
  })
}

t.test('a client of Python', { skip }, async t => {
  const errors: unknown[] = []
  const sessions: Session[] = []
  log.events.length = 0
  await using server = await serve(Lab, {
    port: 0,
    authenticate: async ({ token, headers }) => {
      const bearer = await token()
      return bearer === 'secret' && { bearer, key: headers['key-bin'] }
    },
    onError: error => void errors.push(error),
    gateways: [library()]
  })
  server.on('session', session => void sessions.push(session))
  const client = start(t, 'grpc_client.py', String(server.port))
  await client.says(/late/)
  await waitUntil(() => log.events.some(event => event.startsWith('aborted ')))
  log.events.length = 0
  await client.says(/cancelled/)
  await log.waitFor('aborted AbortError')
  await client.says(/left/)
  await log.waitFor('count ended')
  await log.waitFor('stuck ended')
  const { code } = await client.ended
  t.equal(code, 0, client.stderr)
  await waitUntil(() => server.sessions.size === 0)
  t.match(server.metrics, { exports: 0, imports: 0, pending: 0, buffered: 0 })
  t.ok(sessions.length > 100)
  t.match(errors, [/no member `absent`/])
})

t.test('a server of Python', { skip }, async t => {
  const server = start(t, 'grpc_server.py')
  const [port] = await server.says(/\d+/)
  const conn = connectGrpc(PROTO, {
    service: 'netref.spec.Library',
    address: `127.0.0.1:${port}`,
    metadata: { authorization: 'Bearer secret', 'key-bin': new Uint8Array([1, 2]) }
  })
  const { root } = conn
  t.same(await root.add({ x: 1, y: 2 }), { value: 3 })
  t.same(await root.greet({ first_name: 'Ada', last_name: 'é€😀' }), { text: 'Hello Ada é€😀' })
  t.same(await root.greet({ first_name: 'Ada' }), { text: 'Hello Ada Unknown' })
  t.same(await root.nothing(), {})
  t.same(await root.who(), { text: 'Bearer secret 0102' })
  const values = {
    int64: -(2n ** 63n),
    uint64: 2n ** 64n - 1n,
    string: 'é',
    bytes: new Uint8Array([0, 255]),
    color: 'BLUE'
  }
  t.match(
    await root.echo({ ...values, map: { a: { bool: true } }, by_int64: { '-5': new Uint8Array([1]) } }),
    {
      ...values,
      map: { a: { bool: true } },
      by_int64: { '-5': new Uint8Array([1]) }
    }
  )
  t.match(await rejectionOf(root.fail({ text: 'no such thing' })), {
    name: 'GrpcError',
    status: 'NOT_FOUND',
    code: 5,
    details: 'no such thing',
    metadata: { why: 'a reason', 'key-bin': new Uint8Array([1, 2]) }
  })
  t.match(await rejectionOf(root.absent()), { status: 'UNIMPLEMENTED' })
  const counted: number[] = []
  for await (const { count } of await root.count({ count: 1000 })) counted.push(count)
  t.equal(counted.at(-1), 1000)
  await server.says(/count has ended/)
  server.stdout = ''
  for await (const { count } of await root.count({ count: 10_000_000 })) if (count === 3) break
  await server.says(/count has ended/)
  t.same(await root.total([{ value: 1 }, { value: 2 }]), { value: 3 })
  const numbers = async function* () {
    for (;;) yield { value: 30 }
  }
  t.same(await root.total(numbers()), { value: 120 })
  const shouted: unknown[] = []
  for await (const line of await root.shout([{ text: 'one' }, { text: 'two' }])) shouted.push(line)
  t.same(shouted, [{ text: 'ONE' }, { text: 'TWO' }])
  t.match(await rejectionOf(Netref.with(root, { timeout: 500 }).wait()), { name: 'TimeoutError' })
  await server.says(/wait has ended/)
  server.stdout = ''
  const controller = new AbortController()
  const wait = rejectionOf(Netref.with(root, { signal: controller.signal }).wait())
  await server.says(/waits/)
  controller.abort()
  t.match(await wait, { name: 'AbortError' })
  await server.says(/wait has ended/)
  await assertClean(t, conn.session)
  await conn.close()
})
