// Tests the `netref` command, in this process with real streams and as a separate program.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { checkUsage } from '../../lib/cli/command.js'
import { formatJSON } from '../../lib/cli/json.js'
import { parsePath } from '../../lib/cli/path.js'
import { connect, type Server, serve } from '../../lib/index.js'
import { fails, netref, prints, program, Running } from '../support/command-line.js'
import { Calculator } from '../support/fixtures/cli/calculator.js'
import { assertClean, CHILD_ENV, waitUntil } from '../support/helpers.js'

const FIXTURE = fileURLToPath(new URL('../support/fixtures/cli/calculator.ts', import.meta.url))

async function withCalculator(t: Test, use: (url: string, server: Server) => Promise<void>) {
  await using server = await serve(Calculator, { port: 0 })
  await use(server.url, server)
  await waitUntil(() => server.sessions.size === 0)
  await assertClean(t, ...server.sessions)
  t.match(server.metrics, { sessions: 0, exports: 0, imports: 0, pending: 0 })
}

t.test('an error of the program is no error of the command line', t => {
  const failure = new RangeError('out of range')
  t.throws(
    () =>
      checkUsage(() => {
        throw failure
      }),
    failure
  )
  t.end()
})

t.test('help, version and unknown commands', async t => {
  const { code, stdout } = await netref(['--help'])
  t.equal(code, 0)
  for (const command of [
    'serve FILE',
    'mcp FILE',
    'ls URL',
    'call URL path',
    'repl URL',
    'ping URL',
    'bench URL path'
  ]) {
    t.match(stdout, `  ${command}`)
  }
  t.notMatch(stdout, '\x1b')
  t.match(
    (await netref(['-h'], { tty: true })).stdout,
    '\x1b[1mUsage\x1b[0m',
    'colours are used on terminals only'
  )
  t.notMatch((await netref(['-h'], { tty: true, env: { NO_COLOR: '1' } })).stdout, '\x1b')
  for (const command of ['serve', 'mcp', 'ls', 'describe', 'call', 'repl', 'ping', 'bench']) {
    const help = await netref([command, '--help'])
    t.match(help, {
      code: 0,
      stdout: new RegExp(`^Usage {2}netref ${command} [^]* -h, --help `),
      stderr: ''
    })
  }
  await prints(t, ['--version'], '1.2.3\n')
  await fails(
    t,
    [],
    2,
    'netref: a command is missing: serve, mcp, ls, describe, call, repl, ping, bench\nSee netref --help\n'
  )
  await fails(t, ['pong'], 2, 'netref: there is no command pong: did you mean ping?\nSee netref --help\n')
  await fails(t, ['xyz'], 2, /there is no command xyz: serve, mcp, ls/)
})

t.test('ls lists the exposed members as a table', t =>
  withCalculator(t, async url => {
    const table = [
      'config           object',
      'Tally(start?)    class',
      'max(…)           function',
      'add(a, b)        function  Adds two numbers',
      'tally()          function',
      'echo(...values)  function',
      'fail(message?)   function  Always fails',
      'count(to, each)  function',
      'lines(count)     function',
      'holes()          function',
      'later()          function',
      'now              accessor',
      'never()          function',
      'throw(what)      function',
      'refuse()         function',
      'keep(hear)       function',
      'say(word)        function'
    ]
    await prints(t, ['ls', url], `${table.join('\n')}\n`)
    await prints(t, ['ls', url, 'config'], 'name       value\ntags       object\ntwo words  value\n')
    const { stdout } = await netref(['ls', url], { tty: true })
    t.match(stdout, '\x1b[1madd(a, b)\x1b[0m        \x1b[2mfunction\x1b[0m  Adds two numbers\n')
    t.equal(stripVTControlCharacters(stdout), `${table.join('\n')}\n`)
    await fails(
      t,
      ['ls', url, 'confg'],
      1,
      'Error: root has no accessible member confg: did you mean config?\n'
    )
    await fails(
      t,
      ['ls', url, 'config.x'],
      1,
      'Error: root.config has no accessible member x: its members are name, tags, two words\n'
    )
    await fails(t, ['ls'], 2, 'netref ls: URL is missing\nSee netref ls --help\n')
    await fails(t, ['ls', url, 'a', 'b'], 2, /unexpected argument b/)
    await fails(t, ['ls', url, 'a..b'], 2, /a\.\.b is not a valid path: error at character 2/)
  })
)

t.test('call reads and prints JSON', t =>
  withCalculator(t, async url => {
    const call = (...args: string[]) => ['call', url, ...args]
    await prints(t, call('add', '1', '2'), '3\n')
    await prints(t, call('add', '-1', '-2.5e1'), '-26\n')
    await prints(t, call('add', '--', '-1', '2'), '1\n')
    await prints(t, call('echo', '"a"', '{"b":[null]}'), '["a",{"b":[null]}]\n')
    await prints(t, call('echo', '{"b":1}'), '{\n  "b": 1\n}\n', { tty: true })
    await prints(t, call('echo', '-', '2'), '[{"x":[1]},2]\n', { input: ' {"x":[1]}\n' })
    await prints(t, call('config.tags[1]'), '"b"\n')
    await prints(t, call('config["two words"]'), 'true\n')
    await prints(t, call('later'), '"late"\n')
    await prints(t, call('echo'), '[]\n')
    await prints(t, call('count', '0', 'null'), '0\n')
    await prints(t, call('Tally.name').slice(0, 2).concat('echo', '[]'), '[]\n')
    await prints(t, call('lines', '3'), '{"line":1}\n{"line":2}\n{"line":3}\n')
    await prints(t, call('holes'), 'null\n')
    t.match(
      (await netref(call('tally'))).stdout,
      /^"\[Netref Tally#\d+\]"\n$/,
      'an object passed by reference is printed by name'
    )
    t.match((await netref(call('now'))).stdout, /^"20\d\d-.*Z"\n$/, 'an accessor is read')
  })
)

t.test('call passes functions as arguments', t =>
  withCalculator(t, async url => {
    await prints(t, ['call', url, 'count', '2', '--on-each'], '{"each":[1]}\n{"each":[2]}\n2\n')

    const running = new Running(['call', url, 'keep', '--on-word', '--follow'])
    await running.says(/^true\n/)
    await prints(t, ['call', url, 'say', '"hello"'], '1\n')
    await running.says(/\{"word":\["hello"\]\}\n/)
    running.interrupt()
    t.equal(await running.ended, 0)
  })
)

t.test('call prints errors on stderr and sets the exit code', t =>
  withCalculator(t, async (url, server) => {
    const call = (...args: string[]) => ['call', url, ...args]
    await fails(t, call('fail'), 1, 'RangeError: it failed\n')
    await fails(t, call('fail', '"why"'), 1, '\x1b[31mRangeError:\x1b[0m why\n', { tty: true })
    await fails(t, call('throw', '{"a":1}'), 1, 'Error: the call failed with {"a":1}\n')
    await fails(t, call('ad', '1'), 1, 'Error: root has no accessible member ad: did you mean add?\n')
    await fails(
      t,
      call('zzzzz'),
      1,
      /^Error: root has no accessible member zzzzz: its members are config, Tally, max, .*, …\n$/
    )
    await fails(t, call('config', '1'), 1, /config.* is not a function/)
    await fails(t, call('refuse'), 1, /^Error: .*secret/, {})
    await fails(
      t,
      call('add', '{a:1}', '2'),
      2,
      /^netref call: argument 1 is not JSON: .*\n {2}\{a:1\}\n {3}\^\nSee/
    )
    await fails(
      t,
      call('add', '1', 'Ada'),
      2,
      /argument 2 is not JSON: [\s\S]*\nA string needs quotes: '"Ada"'\n/
    )
    await fails(t, call('add', '-'), 2, /stdin is not JSON/, { input: 'no\nJSON' })
    await fails(t, call('add', '-', '-'), 2, /only one argument can be read from stdin/)
    await fails(t, call('add', '--loud'), 2, /there is no option --loud/)
    await fails(t, call('add', '--follow=1'), 2, /--follow takes no value/)
    await fails(t, ['call'], 2, /URL is missing/)
    await fails(t, ['call', '--on-x'], 2, /URL is missing/)
    await fails(t, ['call', url], 2, /path is missing/)
    await fails(t, ['call', 'localhost:1', 'x'], 2, /did you mean "ws:\/\/localhost:1"\?/)
    await fails(
      t,
      ['call', 'ws://127.0.0.1:1', 'x'],
      3,
      'Error: cannot reach ws://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n'
    )

    const never = new Running(call('never'))
    await waitUntil(() => server.sessions.size === 1 && [...server.sessions][0]!.stats.callsIn > 0)
    never.interrupt()
    t.same([await never.ended, never.stderr], [130, ''])

    const following = new Running(call('echo', '1', '--follow'))
    await following.says(/1\n/)
    for (const session of server.sessions) await session.close()
    t.equal(await following.ended, 3)
    t.match(following.stderr, /^Error: ws:.* ended the session: close\(\) was called\n$/)
  })
)

t.test('a service that refuses `describe`', async t => {
  await using server = await serve(Calculator, { port: 0, describe: false })
  await fails(t, ['ls', server.url], 1, /^Error: .*`describe: false`/)
  await fails(t, ['call', server.url, 'ad'], 1, /^Error: root\.ad\(\): "ad" is not exposed/)
})

t.test('an object without exposed members', async t => {
  await using server = await serve({}, { port: 0 })
  await prints(t, ['ls', server.url], '')
  await fails(t, ['call', server.url, 'a'], 1, 'Error: root has no accessible member a: it has no members\n')
})

t.test('a reader that closes the output early, as head does, causes no error', t =>
  withCalculator(t, async url => {
    const running = new Running(['call', url, 'lines', '1000000'])
    await running.says(/\n/)
    running.out.destroy(Object.assign(new Error('nobody reads'), { code: 'EPIPE' }))
    t.same([await running.ended, running.stderr], [0, ''])
  })
)

t.test('ping prints round-trip times', t =>
  withCalculator(t, async (url, server) => {
    const { code, stdout } = await netref(['ping', url, '-c', '2', '-i', '0'])
    t.equal(code, 0)
    const [, first, second, blank, title, count, rtt] = stdout.split('\n')
    t.match(stdout, `PING ${url}\n`)
    t.match(first, /^seq=1 time=\d+\.\d{3} ms$/)
    t.match(second, /^seq=2 time=\d+\.\d{3} ms$/)
    t.equal(blank, '')
    t.equal(title, `--- ${url} ping statistics ---`)
    t.equal(count, '2 round trips')
    const [least, average, most, deviation] = /= (.*) ms$/.exec(rtt!)![1]!.split('/').map(Number) as number[]
    t.ok(least! <= average! && average! <= most! && deviation! <= most! - least!)

    for (const args of [
      ['-i', '60'],
      ['-i', '0']
    ]) {
      const running = new Running(['ping', url, ...args])
      await running.says(/seq=1/)
      running.interrupt()
      t.equal(await running.ended, 0)
      t.match(running.stdout, /rtt min/, 'Ctrl-C ends with the statistics')
    }
    const early = new Running(['ping', url])
    early.interrupt()
    t.same([await early.ended, early.stdout], [0, ''])

    const broken = new Running(['ping', url, '-i', '0'])
    await broken.says(/seq=1/)
    for (const session of server.sessions) await session.close()
    t.equal(await broken.ended, 3)
    await fails(t, ['ping', 'ws://127.0.0.1:1'], 3, /cannot reach/)
    await fails(t, ['ping', url, '-c', '0'], 2, /--count 0 is not a number of at least 1/)
    await fails(t, ['ping', url, '-c'], 2, /-c takes a value: N/)
  })
)

t.test('bench prints calls per second', t =>
  withCalculator(t, async url => {
    const { code, stdout, stderr } = await netref(['bench', url, 'add', '1', '2', '-s', '0.3', '-n', '4'])
    t.same([code, stderr], [0, ''])
    const [, perSecond, calls] =
      /^(\d+) calls\/s {2}\((\d+) calls in 0\.3\d s, 4 in flight\)\n/.exec(stdout) ?? []
    t.ok(Number(perSecond) > 100 && Number(calls) > 30, stdout)
    t.match(stdout, /\np50 \d+\.\d{3} ms {2}p99 \d+\.\d{3} ms\n$/)

    const onTerminal = await netref(['bench', url, 'add', '1', '2', '-s', '0.3'], { tty: true })
    t.match(onTerminal.stderr, /\r[█░]{30} \d+ calls\/s /)
    t.ok(onTerminal.stderr.endsWith('\r\x1b[K'), 'the bar is removed at the end')

    t.match((await netref(['bench', url, 'echo', '-', '-s', '0'], { input: '1' })).stdout, /^\d+ calls\/s/)
    await fails(t, ['bench', url, 'ad', '-s', '1'], 1, /did you mean add/)
    await fails(t, ['bench'], 2, /URL is missing/)
    await fails(t, ['bench', url], 2, /path is missing/)
    await fails(t, ['bench', url, 'add', '-n', '0'], 2, /--in-flight 0 is not a number of at least 1/)
  })
)

t.test('repl evaluates lines from a file', t =>
  withCalculator(t, async (url, server) => {
    const input =
      'await root.add(1, 2)\nconst x = await root.add(\n3, 4)\nx\nroot\n\nawait root.fail()\nnope\n[Netref.is(root)]\n'
    const { code, stdout, stderr } = await netref(['repl', url], { input })
    t.same([code, stderr], [0, ''])
    t.match(stdout, /^3\n\.\.\. undefined\n7\n\[Netref root\]\nUncaught RangeError: it failed\n/)
    t.match(stdout, /\nUncaught ReferenceError: nope is not defined\n([\s\S]*\n)?\[ true \]\n$/)
    await prints(t, ['repl', url], '2\n', { input: '1 + 1\n.exit\n3\n' })

    const broken = new Running(['repl', url])
    broken.stdin.write('1 + 1\n')
    await broken.says(/2\n/)
    for (const session of server.sessions) await session.close()
    t.equal(await broken.ended, 3)
    await fails(t, ['repl', 'ws://127.0.0.1:1'], 3, /cannot reach/)
    const interrupted = new Running(['repl', url])
    interrupted.stdin.write('1 + 1\n')
    await interrupted.says(/2\n/)
    interrupted.interrupt()
    t.equal(await interrupted.ended, 130)
  })
)

t.test('repl at a terminal has completion and a history', t =>
  withCalculator(t, async url => {
    const dir = t.testdir()
    const history = join(dir, 'state', 'netref', 'history')
    const running = new Running(['repl', url], { tty: true, env: { XDG_STATE_HOME: join(dir, 'state') } })
    const types = async (keys: string, shows: RegExp) => {
      running.stdout = ''
      for (const key of keys) {
        running.stdin.write(key)
        await new Promise(setImmediate) // what comes in one piece is taken for pasted
      }
      await waitUntil(
        () => shows.test(stripVTControlCharacters(running.stdout)),
        `${shows} in ${running.stdout}`
      )
    }
    const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '')
    await running.says(/root is the root of /)
    await types('await root.ad\t', /root\.add/)
    await types('(1, 2)\r', /\n3\r?\n/)
    await types('root.config.t\t', /tags/)
    await types('[0]\r', /Netref root\.config\.tags/)
    await types('root.nothing.\t\x15', /nothing/)
    await types('const held = await root.config\r', /undefined/)
    await types('Netref.desc\t\x15', /Netref\.describe/)
    await types('held.na\t\x15', /held\.name/)
    await types('nowhere.na\t\x15', /nowhere\.na/)
    await types('parseI\t\x15', /parseInt/)
    await waitUntil(() => read(history).includes('await root.add(1, 2)'))
    running.stdin.write('.exit\r')
    t.equal(await running.ended, 0)

    for (const [env, file] of [
      [{ NETREF_HISTORY: join(dir, 'mine') }, join(dir, 'mine')],
      [{ HOME: join(dir, 'home') }, join(dir, 'home', '.local', 'state', 'netref', 'history')],
      [{ NETREF_HISTORY: '', NO_COLOR: '1' }, undefined]
    ] as const) {
      const again = new Running(['repl', url], { tty: true, env })
      await again.says(/> /)
      again.stdin.write('1 + 1\r')
      await again.says(/1 \+ 1\s+.*2/)
      if (file) await waitUntil(() => read(file).includes('1 + 1'))
      again.stdin.write('.exit\r')
      t.equal(await again.ended, 0)
    }
  })
)

t.test('serve serves the export of a module', async t => {
  const dir = t.testdir({
    'default.mjs': 'export default { hello: () => "default" }; export const other = {}',
    'function.mjs': 'export const make = () => ({ hello: () => "made" })',
    'many.mjs': 'export const a = {}, b = {}',
    'none.mjs': 'export const a = 1',
    'broken.mjs': 'throw new Error("it does not want to")',
    'broken.ts': 'export default { hello: () => 1'
  })
  const serves = async (file: string, path: string, result: string) => {
    const running = new Running(['serve', file, '--port', '0'])
    await running.says(/^listening at ws:\/\/127\.0\.0\.1:\d+\n$/)
    const url = running.stdout.trim().split(' ').at(-1)!
    await prints(t, ['call', url, path, '1', '2'], result)
    running.interrupt()
    t.same([await running.ended, running.stderr], [0, ''])
  }
  await serves(FIXTURE, 'add', '3\n')
  await serves(join(dir, 'default.mjs'), 'hello', '"default"\n')
  await serves(join(dir, 'function.mjs'), 'hello', '"made"\n')

  const fail = (file: string, code: number, why: RegExp) =>
    fails(t, ['serve', join(dir, file), '-p', '0'], code, why)
  await fail('many.mjs', 2, /exports a, b: make one its default export/)
  await fail('none.mjs', 2, /exports no service: a class that extends Service, an object or a function/)
  await fail('nowhere.mjs', 2, /there is no file .*nowhere\.mjs/)
  await fail('broken.mjs', 1, /^Error: it does not want to\n$/)
  await fail(
    'broken.ts',
    1,
    /broken\.ts cannot be loaded: [\s\S]*use a loader: NODE_OPTIONS="--import tsx" netref serve/
  )
  await fails(t, ['serve'], 2, /FILE is missing/)
  await fails(t, ['serve', FIXTURE, '--port', 'x'], 2, /--port x is not a number/)
  await using busy = await serve({}, { port: 0 })
  const port = new URL(busy.url).port
  await fails(t, ['serve', FIXTURE, '--port', port], 1, /the port is in use/)
  const late = new Running(['serve', FIXTURE, '--port', '0'])
  late.interrupt()
  t.equal(await late.ended, 0)
})

t.test('serve --gateway lets the clients of other systems in', async t => {
  const gateways = 'rpyc,json-rpc,xml-rpc,go-rpc,zerorpc,pyro,rpyc'
  const running = new Running(['serve', FIXTURE, '--port', '0', '--gateway', gateways])
  await running.says(/pyro at/)
  const [, host] = /^listening at ws:\/\/(.*)$/m.exec(running.stdout)!
  t.same(running.stdout.split('\n'), [
    `listening at ws://${host}`,
    `rpyc at tcp://${host}`,
    `json-rpc at http://${host} and tcp://${host}`,
    `xml-rpc at http://${host}`,
    `go-rpc at tcp://${host}`,
    `zerorpc at tcp://${host}`,
    `pyro at tcp://${host}`,
    ''
  ])
  const int = (value: number) => `<param><value><int>${value}</int></value></param>`
  const response = await fetch(`http://${host}`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: `<methodCall><methodName>add</methodName><params>${int(1)}${int(2)}</params></methodCall>`
  })
  t.match(await response.text(), '<int>3</int>')
  running.interrupt()
  t.same([await running.ended, running.stderr], [0, ''])

  const fail = (names: string, why: RegExp) => fails(t, ['serve', FIXTURE, '-g', names], 2, why)
  await fail('xml-rpc,xmlrpc', /there is no gateway xmlrpc: did you mean xml-rpc\?/)
  await fail('soap', /there is no gateway soap: .*xml-rpc/)
  await fail('grpc', /grpc needs a .proto file: use serve\(\) of netref/)
  await fail('rpyc,mcp', /use netref mcp FILE --tools NAMES/)
  await fail('xml-rpc,', /there is no gateway "": .*xml-rpc/)
})

t.test('serve lets calls finish when it is interrupted, unless it is watched', async t => {
  const outcomes: unknown[] = []
  for (const env of [{}, { NETREF_WATCHED: '1' }] as Record<string, string>[]) {
    const running = new Running(['serve', FIXTURE, '--port', '0'], { env })
    await running.says(/^listening at/)
    const conn = connect<Calculator>(running.stdout.trim().split(' ').at(-1)!)
    let goOn = () => {}
    const asked = new Promise<void>(called => {
      const wait = () => {
        called()
        return new Promise<void>(resolve => (goOn = resolve))
      }
      conn.root.count(1, wait).then(
        count => outcomes.push(count),
        error => outcomes.push(error.code)
      )
    })
    await asked
    const left = new Promise<void>(resolve =>
      conn.on('NETREF_WATCHED' in env ? 'closed' : 'leaving', () => resolve())
    )
    running.interrupt()
    await left
    goOn()
    t.equal(await running.ended, 0)
    await assertClean(t, conn.session)
  }
  t.same(outcomes, [1, 'server-closed'])
})

t.test('serve prints one line for each call that fails in the service', async t => {
  const running = new Running(['serve', FIXTURE, '--port', '0'])
  await running.says(/^listening at/)
  const url = running.stdout.trim().split(' ').at(-1)!
  await fails(t, ['call', url, 'fail', '"a\\nline"'], 1, 'RangeError: a\nline\n')
  await fails(t, ['call', url, 'throw', '"text"'], 1, /text/)
  await waitUntil(() => running.stderr.split('\n').length === 3)
  t.match(
    running.stderr,
    /^root\.fail\(\) failed: RangeError: a\\nline \(.*calculator\.ts:\d+:\d+\)\nroot\.throw\(\) failed: text\n$/
  )
  running.interrupt()
  t.equal(await running.ended, 0)
})

t.test('serve --json logs as lines of JSON', async t => {
  const running = new Running(['serve', FIXTURE, '--port', '0', '--json'])
  await running.says(/^listening at/)
  const url = running.stdout.trim().split(' ').at(-1)!
  await fails(t, ['call', url, 'fail', '"secret"'], 1, 'RangeError: secret\n')
  await waitUntil(() => running.stderr.includes('session-ended'))
  const events = running.stderr
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  t.match(events, [
    { event: 'session-started' },
    { event: 'call-failed', call: 'root.fail()' },
    { event: 'session-ended' }
  ])
  running.interrupt()
  t.equal(await running.ended, 0)
})

t.test('serve --watch restarts on changes', async t => {
  const file = join(t.testdir({ 'service.mjs': 'export default { version: () => 1 }' }), 'service.mjs')
  const running = new Running(['serve', '--watch', file, '--port', '0'], {
    env: CHILD_ENV as Record<string, string>
  })
  const version = async (version: number, servers: number) => {
    await waitUntil(() => running.stdout.match(/listening at/g)?.length === servers, running.stdout)
    const url = running.stdout.match(/ws:\S+/g)!.at(-1)!
    await prints(t, ['call', url, 'version'], `${version}\n`)
  }
  await version(1, 1)
  writeFileSync(file, 'export default { version: () => 2 }')
  await version(2, 2)
  running.interrupt()
  t.equal(await running.ended, 0)
})

t.test('main.ts runs as a program', async t => {
  const start = (...args: string[]) => {
    const child = spawn(process.execPath, [...program, ...args], { env: CHILD_ENV, stdio: 'pipe' })
    t.teardown(() => child.kill('SIGKILL'))
    return child
  }
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const server = start('serve', FIXTURE, '--port', '0')
  const [line] = await once(server.stdout.setEncoding('utf8'), 'data')
  const url = String(line).trim().split(' ').at(-1)!
  const outcome = async (...args: string[]) => {
    const child = start(...args)
    child.stdin.end('[5]')
    const [stdout, stderr] = await Promise.all(
      [child.stdout, child.stderr].map(async stream => {
        let said = ''
        for await (const text of stream.setEncoding('utf8')) said += text
        return said
      })
    )
    return [child.exitCode ?? (await once(child, 'exit'))[0], stdout, stderr]
  }
  const outcomes = await Promise.all([
    outcome('--version'),
    outcome('call', url, 'echo', '-', '{"a":"b"}'),
    outcome('call', url, 'fail')
  ])
  t.same(outcomes, [
    [0, `${version}\n`, ''],
    [0, '[[5],{"a":"b"}]\n', ''],
    [1, '', 'RangeError: it failed\n']
  ])
  server.kill('SIGINT')
  t.same(await once(server, 'exit'), [0, null])
})

t.test('parsePath', async t => {
  t.same(parsePath(''), [])
  t.same(parsePath('a.b[0]["c d"].e-f'), ['a', 'b', '0', 'c d', 'e-f'])
  t.same(parsePath('[1][2]'), ['1', '2'])
  for (const bad of ['.', 'a.', 'a[', 'a[x]', 'a["b]', 'a b"c'])
    t.throws(() => parsePath(bad), /is not a valid path/, bad)
})

t.test('formatJSON', async t => {
  const map = new Map<unknown, unknown>([[{ a: 1 }, 2]])
  const value = {
    bigint: 12345678901234567890n,
    numbers: [Number.NaN, Number.POSITIVE_INFINITY, 1],
    set: new Set([1n]),
    map: new Map([['a', new Map()]]),
    pairs: map,
    date: new Date(0),
    regexp: /a/g,
    error: Object.assign(new TypeError('no'), { code: 'E' }),
    bytes: new Uint8Array([1, 2]),
    buffer: Buffer.from([3]),
    view: new DataView(new ArrayBuffer(1)),
    raw: new ArrayBuffer(1)
  }
  t.same(JSON.parse(formatJSON(value)!), {
    bigint: '12345678901234567890',
    numbers: ['NaN', 'Infinity', 1],
    set: ['1'],
    map: { a: {} },
    pairs: [[{ a: 1 }, 2]],
    date: '1970-01-01T00:00:00.000Z',
    regexp: '/a/g',
    error: { name: 'TypeError', message: 'no', code: 'E' },
    bytes: 'AQI=',
    buffer: 'Aw==',
    view: 'AA==',
    raw: 'AA=='
  })
  t.equal(formatJSON(undefined), undefined)
})
