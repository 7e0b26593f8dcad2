// `npm run runtimes`: tests the packed package in other runtimes, installed from the npm registry. Each runs a server
// and a client, first with itself and then with this Node.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build as esbuild } from 'esbuild'
import { build as vite } from 'vite'
import { followFirstSteps } from './first-steps.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const platform = `${process.platform}-${process.arch}`

interface Runtime {
  /** The package to install, and the path of its program. */
  readonly install: string
  readonly program: string
  readonly args?: readonly string[]
}

const node = (version: string): Runtime => ({
  install: `node-${version}@npm:node-${platform}@${version}`,
  program: `node-${version}/bin/node`
})
const RUNTIMES: Readonly<Record<string, Runtime>> = {
  'Node 20': node('20'),
  'Node 22': node('22'),
  'Node 24': node('24'),
  'Node, newest': node('latest'),
  Bun: { install: `@oven/bun-${platform}@latest`, program: `@oven/bun-${platform}/bin/bun` },
  Deno: {
    install: `@deno/${platform}${process.platform === 'linux' ? '-glibc' : ''}@latest`,
    program: `@deno/${platform}${process.platform === 'linux' ? '-glibc' : ''}/deno`,
    args: ['run', '--allow-all', '--no-lock']
  }
}

const dir = await mkdtemp(join(tmpdir(), 'netref-runtimes-'))
try {
  await run('npm', ['pack', '--pack-destination', dir], { cwd: root })
  const [tarball] = (await readdir(dir)).filter(name => name.endsWith('.tgz'))
  await writeFile(join(dir, 'package.json'), '{ "private": true, "type": "module" }')
  const installed = [`./${tarball}`, ...Object.values(RUNTIMES).map(({ install }) => install)]
  await run(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...installed],
    {
      cwd: dir
    }
  )
  await copyFile(new URL('./smoke.js', import.meta.url), join(dir, 'smoke.js'))

  await bundled()

  const programOf = (name: string) => join(dir, 'node_modules', RUNTIMES[name]!.program)
  const packed = join(dir, tarball!)
  await followFirstSteps(packed, programOf('Node 20'), 'js', 'Hello, Ada!\n3\n')
  await followFirstSteps(packed, programOf('Node 24'), 'ts', 'Noisy: one\nNoisy: two\nNoisy: three\n3\n')
  console.log('ok  the first steps of README: in JavaScript with Node 20, in TypeScript with Node 24')

  const here: readonly string[] = [process.execPath]
  for (const [name, { program, args = [] }] of Object.entries(RUNTIMES)) {
    const there = [join(dir, 'node_modules', program), ...args]
    const { stdout } = await run(there[0]!, ['--version'])
    for (const [server, client, how] of [
      [there, there, 'server and client'],
      [there, here, 'server'],
      [here, there, 'client']
    ] as const) {
      await smoke(server, client)
      console.log(`ok  ${name} (${stdout.trim().split('\n')[0]}): ${how}`)
    }
  }
} finally {
  await rm(dir, { recursive: true, force: true })
}

/** Bundles the package for a page: without Node modules, and below a size. */
async function bundled(): Promise<void> {
  const app = join(dir, 'app.js')
  await writeFile(app, "import { connect } from 'netref'\nglobalThis.conn = connect('ws://localhost')\n")
  const common = { bundle: true, minify: true, write: false, format: 'esm', platform: 'browser' } as const
  const [byEsbuild] = (await esbuild({ ...common, entryPoints: [app] })).outputFiles
  const rolled = (await vite({
    root: dir,
    configFile: false,
    logLevel: 'silent',
    build: { write: false, rollupOptions: { input: app } }
  })) as { output: { code: string }[] }
  for (const [name, code] of [
    ['esbuild', byEsbuild!.text],
    ['vite', rolled.output[0]!.code]
  ] as const) {
    if (/\b(from|import)\s*\(?\s*["']node:|\brequire\(/.test(code))
      throw new Error(`${name} brings modules of Node's into a page`)
    console.log(`ok  ${name}: ${gzipSync(code, { level: 9 }).length} bytes of gzip`)
  }
}

/** @throws Error with the output of the client if it fails */
async function smoke(server: readonly string[], client: readonly string[]): Promise<void> {
  const serving = spawn(server[0]!, [...server.slice(1), 'smoke.js', 'server'], {
    cwd: dir,
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const ended = once(serving, 'exit')
  const [line] = await Promise.race([once(serving.stdout.setEncoding('utf8'), 'data'), ended])
  const { stdout } = await run(client[0]!, [...client.slice(1), 'smoke.js', 'client', String(line).trim()], {
    cwd: dir,
    timeout: 60_000
  })
  if (stdout.trim() !== 'ok') throw new Error(`the client printed ${stdout}`)
  serving.stdin.end()
  const [code] = await ended
  if (code !== 0) throw new Error(`the server ended with ${code}`)
}
