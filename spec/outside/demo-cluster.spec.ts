// Tests `npm run demo:cluster`: real processes on a real nats-server, killed while they count.
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { waitUntil } from '../support/helpers.js'
import { skipWithoutNats } from '../support/nats-server.js'
import { isAlive, Program } from '../support/program.js'

const PROGRAM = fileURLToPath(new URL('../../demos/cluster/main.ts', import.meta.url))

const startDemo = (t: Test, args: string[], env: NodeJS.ProcessEnv = {}) =>
  new Program(t, process.execPath, ['--import', 'tsx', PROGRAM, ...args], { env })

const natsProcess = (stdout: string) => Number(/NATS at \S+, process (\d+)/.exec(stdout)![1])

for (const args of [[], ['--gateway']]) {
  t.test(
    ['npm run demo:cluster: an instance is killed, and the counting goes on', ...args].join(', '),
    { skip: skipWithoutNats },
    async t => {
      const demo = startDemo(t, args)
      await demo.says(/counts again/)
      await demo.says(/1\.0\.1 is there/)
      process.kill(demo.pid, 'SIGINT')
      t.same(await demo.ended, { code: 0, signal: null })
      t.equal(demo.stderr, '')
      const { stdout } = demo
      t.equal(stdout.includes('a gateway at ws://'), args.length > 0)
      const [, victim] = /instance (\S+) is killed, and with it [123] session/.exec(stdout)!
      t.match(stdout, `instance ${victim} 1.0.0 is there`)
      const after = stdout.slice(stdout.indexOf('is killed'))
      t.match(after, /client \d counts again after [\d.]+ s \(may-have-run\)/)
      t.match(after, /instance \S+ 1\.0\.1 is there, in (eu|us)-\d/, 'another is started in its place')
      const [, lines, runs] = /(\d+) lines in (\d+) runs; \d instances? killed/.exec(
        stdout.split('\n').at(-3)!
      )!
      t.ok(Number(runs) > 3)
      t.ok(Number(lines) >= Number(runs) * 2000)
      t.notOk(isAlive(natsProcess(stdout)), 'no process is left')
    }
  )
}

t.test('it ends with all its processes', { skip: skipWithoutNats }, async t => {
  for (const [signal, ...args] of [['SIGINT'], ['SIGKILL'], [null, '--seconds', '1']] as const) {
    const demo = startDemo(t, [...args])
    await demo.says(signal ? /(1\.0\.0 is there.*){3}/s : /NATS at/)
    const nats = natsProcess(demo.stdout)
    if (signal) process.kill(demo.pid, signal)
    const isKilled = signal === 'SIGKILL'
    // The others share its output, so that this is the end of all.
    t.same(await demo.ended, { code: isKilled ? null : 0, signal: isKilled ? signal : null })
    await waitUntil(() => !isAlive(nats), 'the end of nats-server')
    t.equal(demo.stderr, '')
  }
})

t.test('errors print one line', async t => {
  const absent = startDemo(t, [], { NATS_URL: '', PATH: t.testdir() })
  t.match(await absent.ended, { code: 1 })
  t.match(absent.stderr, /^Error: nats-server is not installed\. Debian: apt install nats-server; .*\n$/)
  const unreachable = startDemo(t, [], { NATS_URL: 'nats://127.0.0.1:1' })
  t.match(await unreachable.ended, { code: 1 })
  t.equal(unreachable.stderr, 'Error: cannot reach NATS at 127.0.0.1:1: connection refused\n')
})
