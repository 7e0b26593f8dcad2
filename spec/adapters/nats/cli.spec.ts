// Tests the command line with services on a real nats-server.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { fails, netref, prints, Running } from '../../support/command-line.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const FIXTURE = fileURLToPath(new URL('../../support/fixtures/cli/calculator.ts', import.meta.url))
const skip = skipWithoutNats

t.test('serve --nats serves a module, and all commands find it by its name', { skip }, async t => {
  const config = 'authorization { user: ada, password: secret }'
  const { port } = await startNatsServer(t, { jetstream: false, config })
  const bus = `nats://ada:secret@127.0.0.1:${port}`
  const shown = `nats://127.0.0.1:${port}`
  const serving = new Running(['serve', FIXTURE, '--nats', bus])
  await serving.says(/\n/)
  t.equal(serving.stdout, `listening at ${shown}/Calculator\n`)
  const other = new Running(['serve', FIXTURE, '--nats', `${bus}/Other`])
  await other.says(/\n/)
  t.equal(other.stdout, `listening at ${shown}/Other\n`)

  const listed = await netref(['ls', bus])
  t.match(listed, { code: 0, stderr: '' })
  t.match(
    listed.stdout,
    /^Calculator {2}[\w-]{16} {2}0\.0\.0 {2}0 sessions\nOther {7}[\w-]{16} {2}0\.0\.0 {2}0 sessions\n$/
  )
  const url = `${bus}/Calculator`
  t.match(
    (await netref(['ls', url])).stdout,
    /^config +object\n[\s\S]*add\(a, b\) +function +Adds two numbers\n/
  )
  await prints(t, ['ls', url, 'config'], 'name       value\ntags       object\ntwo words  value\n')
  t.match((await netref(['describe', url])).stdout, /^add\(a, b\)\n {4}Adds two numbers\n/m)
  await prints(t, ['call', url, 'add', '1', '2'], '3\n')
  await prints(t, ['call', url, 'count', '2', '--on-each'], '{"each":[1]}\n{"each":[2]}\n2\n')
  await prints(t, ['repl', url], '7\n', { input: 'await root.add(3, 4)\n' })
  const pinged = await netref(['ping', url, '-c', '1'])
  t.match(pinged.stdout, `PING ${shown}/Calculator\nseq=1 time=`)
  t.notMatch(pinged.stdout, /secret/)
  t.match((await netref(['bench', url, 'add', '1', '2', '-s', '0.1'])).stdout, /^\d+ calls\/s/)
  await fails(t, ['call', url, 'ad', '1'], 1, /did you mean add/)
  await fails(t, ['call', `${bus}/Nobody`, 'add'], 3, /^Error: .*Nobody/)

  for (const running of [serving, other]) {
    running.interrupt()
    t.same([await running.ended, running.stderr], [0, ''])
  }
  await prints(t, ['ls', bus], '')
})

t.test('the command line behaves as the guide shows', { skip }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const page = readFileSync(new URL('../../../demos/guide/nats.md', import.meta.url), 'utf8')
  const sessions = [...page.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, text]) =>
    text!.split(/^\$ npx netref /m).slice(1)
  )
  const [[serve, listening], ...others] = sessions.map(session => {
    const [command, ...output] = session
      .replaceAll('nats://localhost:4222', url)
      .replace('calculator.js', FIXTURE)
      .split('\n')
    return [command!.split(' '), output.join('\n')] as const
  }) as [readonly [string[], string], ...(readonly [string[], string])[]]
  const serving = new Running(serve)
  await serving.says(/\n/)
  t.equal(serving.stdout, listening)
  const withoutIds = (text: string) => text.replace(/ [\w-]{16} /g, ' ID ')
  t.equal(others.length, 2)
  for (const [command, output] of others) {
    const said = await netref(command)
    t.same([withoutIds(said.stdout), said.stderr], [withoutIds(output), ''], command.join(' '))
  }
  serving.interrupt()
  t.equal(await serving.ended, 0)
})

t.test('serve --nats names the service by its file if it is no class', { skip }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const dir = t.testdir()
  mkdirSync(join(dir, 'src'))
  const file = join(dir, 'src', 'line-counter.mjs')
  writeFileSync(file, 'export default { hello: () => "hello" }')
  const serving = new Running(['serve', file, '--nats', url, '--json'])
  await serving.says(/\n/)
  t.equal(serving.stdout, `listening at ${url}/line-counter\n`)
  await prints(t, ['call', `${url}/line-counter`, 'hello'], '"hello"\n')
  serving.interrupt()
  t.equal(await serving.ended, 0)
  const events = serving.stderr
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).event)
  t.same(events, ['session-started', 'session-ended', 'server-closed'])
})
