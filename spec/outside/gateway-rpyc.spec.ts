// Real clients of RPyC 5 and 6 against the gateway.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { rpyc } from '../../lib/gateways/rpyc.js'
import { type ServeOptions, type Server, type Session, serve } from '../../lib/index.js'
import { certificates } from '../support/certificates.js'
import { assertClean, waitUntil } from '../support/helpers.js'
import { pythonWithRpyc, skipWithoutRpyc } from '../support/python-rpyc.js'
import { Everything } from '../support/rpyc-service.js'

const program = fileURLToPath(new URL('./programs/rpyc_client.py', import.meta.url))
const MAJOR_VERSIONS = [5, 6]

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with the exit code. */
  readonly ended: Promise<number>
}

function run(version: number, args: readonly string[]): Run {
  const child = spawn(pythonWithRpyc(version), args, {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (text += chunk))
  return { child, output: () => text, ended: once(child, 'close').then(([code]) => code as number) }
}

/** Runs `use` with a server, then asserts that no client is left and that both ends of all sessions are clean. */
async function withServer(
  t: Test,
  use: (server: Server, port: string) => Promise<void>,
  options: ServeOptions = {}
): Promise<void> {
  const server = await serve(Everything, { port: 0, gateways: [rpyc()], ...options })
  const sessions: Session[] = []
  server.on('session', session => sessions.push(session))
  await use(server, new URL(server.url).port)
  await waitUntil(() => server.sessions.size === 0, 'the end of the sessions')
  t.equal(server.metrics.gateways.rpyc!.clients, 0)
  await assertClean(t, ...sessions)
  await server.close()
}

for (const version of MAJOR_VERSIONS) {
  t.test(`RPyC ${version}`, { skip: skipWithoutRpyc(version), timeout: 120_000 }, async t => {
    t.test('all that a client does', async t => {
      const file = join(t.testdir(), 'three.txt')
      writeFileSync(file, 'one\ntwo\nthree')
      await withServer(t, async (server, port) => {
        const client = run(version, [program, '127.0.0.1', port, file])
        t.equal(await client.ended, 0, client.output())
        t.match(client.output(), /^held [1-3]\n$/)
        t.equal(server.metrics.gateways.rpyc!.clientsTotal, 1)
      })
    })

    t.test('a client that is killed leaves nothing', async t => {
      await withServer(t, async (server, port) => {
        const code = `
import rpyc, sys, time
conn = rpyc.connect('127.0.0.1', ${port}, config={'allow_public_attrs': True})
kept = [conn.root.open(1), conn.root.record(), conn.root.count_to(9)]
conn.root.keep(print)
conn.root.keep(time)
next(kept[2])
print('ready', flush=True)
time.sleep(60)
`
        const client = run(version, ['-c', code])
        await once(client.child.stdout!, 'data')
        t.ok([...server.sessions][0]!.stats.imports >= 2)
        client.child.kill('SIGKILL')
        await client.ended
      })
    })

    t.test('a server that drains lets a call finish, then ends the connection', async t => {
      await withServer(t, async (server, port) => {
        const code = `
import rpyc
conn = rpyc.connect('127.0.0.1', ${port})
slow = rpyc.async_(conn.root.sleep)(300)
print('ready', flush=True)
assert slow.value is None
try:
    conn.serve_all()
    conn.root.add(1, 2)
except EOFError:
    print('ended')
`
        const client = run(version, ['-c', code])
        await once(client.child.stdout!, 'data')
        await server.close({ drain: 5000 })
        t.equal(await client.ended, 0, client.output())
        t.match(client.output(), /ended/)
      })
    })

    t.test('TLS on a port of its own', async t => {
      const { key, cert } = (await certificates(t)).server
      const options = { gateways: [rpyc({ port: 0, tls: { key, cert } })] }
      await withServer(
        t,
        async server => {
          const code = `
import rpyc
conn = rpyc.ssl_connect('127.0.0.1', ${server.gatewayPorts.rpyc})
assert conn.root.add(1, 2) == 3
conn.close()
`
          const client = run(version, ['-c', code])
          t.equal(await client.ended, 0, client.output())
        },
        options
      )
    })

    t.test('with authenticate, nobody comes in unasked', async t => {
      const code = (port: string) => `
import rpyc
try:
    print(rpyc.connect('127.0.0.1', ${port}).root.add(1, 2))
except (EOFError, ConnectionError):
    print('refused')
`
      const authenticate = () => ({ name: 'somebody' })
      await withServer(
        t,
        async (_, port) => {
          const client = run(version, ['-c', code(port)])
          t.equal(await client.ended, 0, client.output())
          t.match(client.output(), /refused/)
        },
        { authenticate }
      )
      await withServer(
        t,
        async (_, port) => {
          const client = run(version, ['-c', code(port)])
          t.equal(await client.ended, 0, client.output())
          t.match(client.output(), /^3\n/)
        },
        { authenticate, gateways: [rpyc({ authenticate: ({ gateway }) => ({ name: `${gateway}` }) })] }
      )
    })
  })
}
