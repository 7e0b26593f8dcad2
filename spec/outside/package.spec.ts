import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { CHILD_ENV } from '../support/helpers.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

const JAVASCRIPT = `
import { connect, Service, serve } from 'netref'
import { connect as liteConnect } from 'netref/lite'
import 'netref/streams'
class Calculator extends Service {
  exposed_add(a, b) { return a + b }
}
const server = await serve(Calculator, { port: 0 })
const conn = connect(server.url)
console.log(await conn.root.add(1, 2), liteConnect === connect)
await conn.close()
await server.close()
`

/** Node loads ES modules by `require` from 20.19 on. */
const COMMONJS = `
const { connect, serve } = require('netref')
require('netref/streams')
const main = async () => {
  const server = await serve({ add: (a, b) => a + b }, { port: 0 })
  const conn = connect(server.url)
  const imported = await import('netref/lite')
  console.log(await conn.root.add(1, 2), imported.connect === connect)
  await conn.close()
  await server.close()
}
main()
`

const TYPESCRIPT = `
import {
  connect, expose, exposed, exposes, Netref, pair, registerType, Service, serve,
  type Reason, type StandardSchema, type UpgradeRequest
} from 'netref'
import { useConnection, useRemote } from 'netref/react'
export function Added() {
  const conn = useConnection<Calculator>('ws://localhost', { renew: true })
  return useRemote(() => conn.root.add(1, 2), [conn]).toFixed()
}
declare const numbers: StandardSchema<[number, number]>
class Sum {
  static { exposes(Sum, { total: true, more: { schema: numbers, idempotent: true } }) }
  total = 0
  more(a: number, b: number) { return this.total += a + b }
}
class Calculator extends Service {
  @exposed add(a: number, b: number) { return a + b }
  @exposed sum() { return new Sum() }
  @exposed(numbers) sub(a: number, b: number) { return a - b }
  @exposed({ if: session => session.identity === 'ada' }) stop() {}
  @exposed each(items: number[], use: Netref<(item: number) => void>) { for (const item of items) use(item) }
  @exposed async *upTo(n: number) { for (let i = 0; i < n; i++) yield i }
  @exposed async count(lines: AsyncIterable<string>, noisy: Netref<(line: string) => void>) {
    for await (const line of lines) await noisy(line)
  }
  override onDisconnect(_session: unknown, reason: Reason) { reason.code.toUpperCase() }
}
export async function main(): Promise<number> {
  await using server = await serve(Calculator, {
    port: 0,
    authenticate: async (request: UpgradeRequest) => request.certificate?.subject.CN ?? await request.token(),
    before(call, session) { (session.identity + ': ' + call).trim() }
  })
  await using conn = connect<Calculator>(server.url, { headers: { a: 'b' }, ca: 'pem', token: async () => 'a' })
  registerType(Date, { name: 'D', encode: d => d.getTime(), decode: n => new Date(n) })
  await using joined = pair(Calculator)
  // @ts-expect-error: the prefix is not part of the name
  joined.root.exposed_add(1, 2)
  // @ts-expect-error: a symbol cannot be sent
  conn.root.add(Symbol('a'), 2)
  expose({ a: 1 }, { read: ['a'] })
  await conn.root.sum().more(1, 2)
  for await (const n of conn.root.upTo(3)) n.toFixed()
  await conn.root.count((async function* () { yield 'a' })(), line => line.toUpperCase())
  await Netref.with(conn.root.add, { timeout: 1000 })(1, 2)
  await Netref.oneway(conn.root.add)(1, 2)
  return await conn.root.add(1, 2)
}
`

/** Where an editor goes from the first use of a name in app.ts: the file, and the text of its line. */
async function definitionOf(dir: string, name: string): Promise<string> {
  const file = join(dir, 'app.ts')
  const before = TYPESCRIPT.slice(0, TYPESCRIPT.indexOf(name)).split('\n')
  const server = spawn(process.execPath, [join(root, 'node_modules/typescript/lib/tsserver.js')], {
    env: CHILD_ENV
  })
  const request = (seq: number, command: string, args: object) =>
    server.stdin.write(`${JSON.stringify({ seq, type: 'request', command, arguments: args })}\n`)
  request(1, 'open', { file, fileContent: TYPESCRIPT })
  request(2, 'definition', { file, line: before.length, offset: before.at(-1)!.length + 1 })
  try {
    for await (const line of createInterface(server.stdout)) {
      const message = line.startsWith('{') ? JSON.parse(line) : {}
      if (message.request_seq !== 2) continue
      const [definition] = message.body as { file: string; start: { line: number } }[]
      const source = await readFile(definition!.file, 'utf8')
      return `${relative(dir, definition!.file)}: ${source.split('\n')[definition!.start.line - 1]}`
    }
  } finally {
    server.kill()
  }
  return 'tsserver has ended'
}

t.test(
  'the packed package installs into an empty folder, runs in JavaScript and compiles in TypeScript',
  async t => {
    const dir = await mkdtemp(join(tmpdir(), 'netref-package-'))
    t.teardown(() => rm(dir, { recursive: true }))
    const npm = (cwd: string, ...args: string[]) => run('npm', args, { cwd, env: CHILD_ENV })
    await npm(root, 'pack', '--pack-destination', dir, '--loglevel', 'error')
    const [tarball] = await readdir(dir)
    await writeFile(join(dir, 'package.json'), '{ "private": true, "type": "module" }')
    await npm(
      dir,
      'install',
      `./${tarball}`,
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--loglevel',
      'error'
    )
    const installed = await readdir(join(dir, 'node_modules'))
    t.same(
      installed.filter(name => !name.startsWith('.')),
      ['netref', 'ws'],
      'with ws; superjson is part of the build'
    )
    t.same((await readdir(join(dir, 'node_modules/netref'))).sort(), [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist',
      'lib',
      'package.json'
    ])

    const dist = join(dir, 'node_modules/netref/dist')
    const licences = await readFile(join(dist, 'THIRD-PARTY-LICENSES'), 'utf8')
    t.match(
      licences,
      /^superjson\n\nMIT License[\s\S]*^copy-anything\n\n/m,
      'with the licences of what it has'
    )

    const llms = await readFile(join(dist, 'llms.txt'), 'utf8')
    t.match(llms, /^# netref\n\n> [^\n]+\n/, 'with a text for language models')
    for (const page of await readdir(join(root, 'demos/guide'))) {
      const text = await readFile(join(root, 'demos/guide', page), 'utf8')
      t.ok(llms.includes(`\n#${text.split('\n')[0]}\n`), `which has ${page}`)
    }

    await writeFile(join(dir, 'app.ts'), TYPESCRIPT)
    await writeFile(join(dir, 'tsconfig.json'), '{ "compilerOptions": { "module": "nodenext" } }')
    t.equal(
      await definitionOf(dir, 'serve('),
      'node_modules/netref/lib/server/serve.ts: export async function serve<T extends object, Identity = unknown>(',
      '"go to definition" leads to the source'
    )

    // Sources are for declaration maps and debuggers.
    await rm(join(dir, 'node_modules/netref/lib'), { recursive: true })
    await writeFile(join(dir, 'app.js'), JAVASCRIPT)
    const { stdout, stderr } = await run(process.execPath, ['app.js'], { cwd: dir, env: CHILD_ENV })
    t.equal(stdout, '3 true\n', 'all entries share one registry')
    t.equal(stderr, '')

    await writeFile(join(dir, 'app.cjs'), COMMONJS)
    const required = await run(process.execPath, ['app.cjs'], { cwd: dir, env: CHILD_ENV })
    t.equal(required.stdout, '3 true\n', 'require loads the same modules as import')
    t.equal(required.stderr, '', 'without a warning')

    const help = await run('npx', ['netref', '--help'], { cwd: dir, env: CHILD_ENV })
    t.match(help.stdout, /^Calls the objects of another program[\s\S]* {2}call URL path \[json…\] /)
    const nobody = run('npx', ['netref', 'call', 'ws://127.0.0.1:1', 'add'], { cwd: dir, env: CHILD_ENV })
    t.match(await nobody.catch(error => error), { code: 3, stderr: /^Error: cannot reach ws:/m })

    await writeFile(join(dir, 'service.js'), 'export default { add: (a, b) => a + b }')
    const serving = run('npx', ['netref', 'serve', 'service.js', '--gateway', 'xml-rpc'], {
      cwd: dir,
      env: CHILD_ENV
    })
    t.match(
      await serving.catch(error => error),
      { code: 1, stderr: /^Error: xmlRpc: the package `sax` is not installed; run `npm install sax`$/m },
      'a package that a gateway needs is named'
    )
    const tools = run('npx', ['netref', 'mcp', 'service.js', '--tools', 'add'], { cwd: dir, env: CHILD_ENV })
    t.match(await tools.catch(error => error), {
      code: 1,
      stdout: '',
      stderr: /serveMcp: the package `@modelcontextprotocol\/server` is not installed; run `npm install/
    })
    const listing = run('npx', ['netref', 'ls', 'nats://127.0.0.1:1'], { cwd: dir, env: CHILD_ENV })
    const install = 'run `npm install @nats-io/transport-node`'
    t.match(
      await listing.catch(error => error),
      {
        code: 1,
        stderr: `Error: nats: the package \`@nats-io/transport-node\` is not installed; ${install}\n`
      },
      'so is that of NATS'
    )

    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    for (const lib of ['es2022,dom,esnext.disposable', 'es2022,esnext.disposable']) {
      const options = `--noEmit --strict --module nodenext --target es2022 --lib ${lib}`.split(' ')
      const compiled = await run(process.execPath, [tsc, ...options, 'app.ts'], {
        cwd: dir,
        env: CHILD_ENV
      }).catch(error => error)
      t.equal(compiled.stdout, '', `without skipLibCheck, and without any @types: ${lib}`)
    }
  }
)
