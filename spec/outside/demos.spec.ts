// Tests the demos: as separate programs, and their services over a real socket.
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { TextFile } from '../../demos/line-counter/text-file.js'
import * as netref from '../../lib/index.js'
import { overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { isAlive, Program } from '../support/program.js'

// tap's loader does not read `paths` of tsconfig.json: this provides `netref` to the demos.
const { LineCounter } = await t.mockImport<typeof import('../../demos/line-counter/line-counter.js')>(
  '../../demos/line-counter/line-counter.js',
  { netref }
)
const { Tour, THING } = await t.mockImport<typeof import('../../demos/tour/tour.js')>(
  '../../demos/tour/tour.js',
  {
    netref
  }
)

const START = 'line-counter/start.ts'
const SERVER = 'line-counter/server.ts'
const CLIENT = 'line-counter/client.ts'

const inDemos = (path: string) => fileURLToPath(new URL(`../../demos/${path}`, import.meta.url))
const POEM = readFileSync(inDemos('line-counter/testfile.txt'), 'utf8').trimEnd().split('\n')

const demo = (t: Test, program: string, ...args: string[]) =>
  new Program(t, process.execPath, ['--import', 'tsx', inDemos(program), ...args])

/** Asserts that a program fails with one line that gives the reason. */
async function fails(t: Test, why: string | RegExp, program: Program): Promise<void> {
  const { code } = await program.ended
  t.equal(code, 1)
  t.match(program.stderr, why)
  t.match(program.stderr, /^Error: .*\n$/, 'one line, and no stack')
}

const linesFile = (t: Test, lines: number) => {
  const path = join(t.testdir(), 'long.txt')
  writeFileSync(path, 'One line is like the other.\n'.repeat(lines))
  return path
}

t.test('npm start: two processes, the lines of the file and their count', async t => {
  const start = new Program(t, 'npm', ['start'])
  t.same(await start.ended, { code: 0, signal: null })
  const said = start.stdout.split('\n')
  t.same(
    said.filter(line => line.startsWith('Noisy: ')),
    POEM.map(line => `Noisy: ${line}`)
  )
  t.equal(said.at(-2), 'The server counted 10 lines.')
  t.equal(new Set(start.pids).size, 2)
  t.notOk(start.stdout.includes('\x1b'), 'colours are used on terminals only')
})

t.test('--chaos: a file is counted correctly while its socket is cut every 100 ms', async t => {
  const start = demo(t, START, linesFile(t, 50_000), '--chaos')
  t.same(await start.ended, { code: 0, signal: null })
  t.equal(start.stderr, '')
  const [, counted, cuts] = start.stdout.match(/counted (\d+) lines\.\nTheir socket was cut (\d+) times/)!
  t.equal(counted, '50000')
  t.comment(`cut ${cuts} times`)
  t.ok(Number(cuts) >= 3)
})

t.test('--chaos: the socket is cut at least once, however short the file is', async t => {
  const dir = t.testdir({ 'one.txt': 'The only line.\n', 'none.txt': '' })
  const files: [path: string, lines: string[]][] = [
    [inDemos('line-counter/testfile.txt'), POEM],
    [join(dir, 'one.txt'), ['The only line.']],
    [join(dir, 'none.txt'), []]
  ]
  for (const [path, lines] of files) {
    for (const how of [[], ['--stream']]) {
      const start = demo(t, START, path, '--chaos', ...how)
      t.same(await start.ended, { code: 0, signal: null })
      t.equal(start.stderr, '')
      t.same(
        start.stdout.split('\n').filter(line => line.startsWith('Noisy: ')),
        lines.map(line => `Noisy: ${line}`),
        'each line once, in order'
      )
      t.match(
        start.stdout,
        new RegExp(`counted ${lines.length} lines?\\.\nTheir socket was cut [1-9]\\d* times?\\.`)
      )
    }
  }
})

t.test('--chaos: a client that fails ends', async t => {
  const path = join(t.testdir({ 'line.txt': 'x'.repeat(5_000_000) }), 'line.txt')
  const start = demo(t, START, path, '--chaos')
  t.same(await start.ended, { code: 1, signal: null })
  t.match(start.stderr, /^Error: .* raise it/m)
})

t.test('a long file: a progress bar instead of the lines', async t => {
  const start = demo(t, START, linesFile(t, 50_000))
  t.same(await start.ended, { code: 0, signal: null })
  t.equal(start.stderr, '')
  t.notMatch(start.stdout, 'Noisy')
  const percents = [...start.stdout.matchAll(/^ *(\d+) % +\d+ lines$/gm)].map(([, percent]) =>
    Number(percent)
  )
  t.same(percents, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
  t.match(start.stdout, /^100 % +50000 lines\n\nThe server counted 50000 lines\.\n$/m)
})

t.test('--stream: the lines as an iterator, in order, and the count after the last', async t => {
  const [short, long] = [demo(t, START, '--stream'), demo(t, START, '--stream', linesFile(t, 50_000))]
  t.same(await short.ended, { code: 0, signal: null }, short.stderr)
  const said = short.stdout.split('\n')
  t.same(
    said.filter(line => line.startsWith('Noisy: ')),
    POEM.map(line => `Noisy: ${line}`)
  )
  t.equal(said.at(-2), 'The server counted 10 lines.')
  t.same(await long.ended, { code: 0, signal: null }, long.stderr)
  t.match(long.stdout, /^100 % +50000 lines\n\nThe server counted 50000 lines\.\n$/m)
})

t.test('the bar on a terminal is redrawn in place a few times a second', async t => {
  const terminal = ['--import', 'tsx', '--import', 'data:text/javascript,process.stdout.isTTY = true']
  const began = performance.now()
  const start = new Program(t, process.execPath, [...terminal, inDemos(START), linesFile(t, 50_000)])
  t.same(await start.ended, { code: 0, signal: null })
  const [bars, end] = stripVTControlCharacters(start.stdout).split('\n').slice(-4) as [string, string]
  const drawn = bars.split('\r').slice(1)
  for (const bar of drawn) t.match(bar, /^[█░]{30} +\d+ % +\d+ lines$/)
  t.ok(drawn.length <= 2 + (performance.now() - began) / 150, `drawn ${drawn.length} times`)
  t.match(drawn.at(-1), /^█{30} 100 % +50000 lines$/)
  t.equal(end, '')
  t.match(start.stdout, '\x1b[1m50000\x1b[0m', 'with quiet colours')
})

t.test('two terminals: a server, and clients that connect and disconnect', async t => {
  const server = demo(t, SERVER, '--port', '0')
  const [, url] = await server.says(/listens at (ws:\S+)/)
  const short = join(t.testdir({ 'short.txt': 'one\r\ntwo\n\nlast, without an end' }), 'short.txt')
  const clients = [demo(t, CLIENT, '--url', url!), demo(t, CLIENT, short, '--url', url!)] as const
  for (const client of clients) t.same(await client.ended, { code: 0, signal: null }, client.stderr)
  t.match(clients[0].stdout, 'The server counted 10 lines.')
  t.match(clients[1].stdout, '\nNoisy: one\nNoisy: two\nNoisy: \nNoisy: last, without an end\n\n')
  t.match(clients[1].stdout, 'The server counted 4 lines.')
  process.kill(server.pid, 'SIGINT')
  t.same(await server.ended, { code: 0, signal: null }, 'Ctrl-C ends the server')
  t.equal(server.stderr, '')
})

t.test('errors print one line', async t => {
  const busy = createServer().listen(0, '127.0.0.1')
  await once(busy, 'listening')
  const { port } = busy.address() as AddressInfo
  await Promise.all([
    fails(t, 'cannot read nowhere.txt: no such file', demo(t, START, 'nowhere.txt')),
    fails(t, 'cannot read lib: it is a directory', demo(t, CLIENT, 'lib'))
  ])
  await Promise.all([
    fails(
      t,
      `serve: cannot listen on 127.0.0.1:${port}: the port is in use`,
      demo(t, SERVER, '--port', `${port}`)
    ),
    fails(t, /--prot/, demo(t, SERVER, '--prot', '1'))
  ])
  busy.close()
  await once(busy, 'close')
  const nobody = `ws://127.0.0.1:${port}`
  await fails(
    t,
    new RegExp(`cannot reach ${nobody}: .* Is the server running`),
    demo(t, CLIENT, '--url', nobody)
  )
})

t.test('a server that stops during a count lets it finish', async t => {
  const server = demo(t, SERVER, '--port', '0')
  const [, url] = await server.says(/listens at (ws:\S+)/)
  const client = demo(t, CLIENT, linesFile(t, 500_000), '--url', url!)
  await client.says(/10 %/)
  process.kill(server.pid, 'SIGTERM')
  await client.says(/The server counted 500000 lines/)
  t.same(await client.ended, { code: 0, signal: null })
  t.same(await server.ended, { code: 0, signal: null })
})

t.test('Ctrl-C leaves no process behind', async t => {
  const file = linesFile(t, 500_000)
  const args = ['--import', 'tsx', inDemos(START), file]
  // A terminal sends the signal to all its processes, `kill` to one.
  for (const [detached, name] of [[true, 'of a terminal'] as const, [false, 'of kill'] as const]) {
    const start = new Program(t, process.execPath, args, { detached })
    await start.says(/10 %/)
    t.same(start.pids.map(isAlive), [true, true])
    process.kill(detached ? -start.pid : start.pid, 'SIGINT')
    t.same(await start.ended, { code: 130, signal: null }, name)
    t.same(start.pids.map(isAlive), [false, false])
    t.equal(start.stderr, '')
  }
  const start = new Program(t, process.execPath, args)
  await start.says(/10 %/)
  process.kill(start.pid, 'SIGKILL')
  await start.ended
  t.pass('even without a chance to close')
})

t.test('npm run demo:tour', async t => {
  const tour = new Program(t, 'npm', ['run', 'demo:tour'])
  t.same(await tour.ended, { code: 0, signal: null })
  for (const line of [
    /root\.sum\(1, 2\) +→ 3$/m,
    /root\.sum\(1\.1, 2\.2\) +→ 3\.3000000000000003$/m,
    /root\.quadratic\(2, -4, 0\) +→ \[ 2, 0 \]$/m,
    /root\.quadratic\(1, 0, 1\) +→ RangeError: no real roots/,
    /root\.remote_repr\(arthur\) +→ \{ name: 'Arthur', data: \{ age: 42, sex: 'M' \} \}$/m,
    /await later +→ 30$/m,
    /→ 500 times the same/,
    /framesOut +→ [12] frames? more$/m,
    /framesIn +→ [123] frames? more$/m,
    /→ the server released `hear`$/m,
    /→ the server noticed: closed$/m,
    /heard +→ \[ 'tea at four', 'with scones', 'tea at five' \]$/m
  ]) {
    t.match(tour.stdout, line)
  }
})

t.test('npm run demo:login', async t => {
  const login = new Program(t, 'npm', ['run', 'demo:login'])
  t.same(await login.ended, { code: 0, signal: null })
  for (const line of [
    /Netref\.keys\(root\) +→ \[ 'login' \]$/m,
    /login\(\{ name: 'ada', password: 'babbage' \}\) +→ Error: wrong name or password$/m,
    /framesOut +→ [12] frames sent, before$/m,
    /framesIn +→ 0 frames arrived$/m,
    /await inbox +→ \[ 'Tea at four\?', 'The engine works\.' \]$/m,
    /mailbox\.write\('Noted\.'\) +→ 3$/m,
    /mailbox\.inbox\(\) +→ ReleasedError: .*released/m
  ]) {
    t.match(login.stdout, line)
  }
})

t.test('TextFile continues reading at its position', async t => {
  const path = join(t.testdir({ 'file.txt': '1\n22\n333\n4444\n' }), 'file.txt')
  const file = await TextFile.open(path)
  t.equal(file.size, 14)
  t.equal(await file.isLongerThan(2), true)
  t.same(await file.readlines(3), ['1', '22'])
  t.equal(await file.isLongerThan(2), false)
  t.same(await file.readlines(), ['333', '4444'])
  t.same(await file.readlines(), [])
  const again = await TextFile.open(path)
  t.equal(await again.isLongerThan(1), true)
  const lines: string[] = []
  for await (const line of again.lines()) lines.push(line)
  t.same(lines, ['1', '22', '333', '4444'])
  t.match(await rejectionOf(TextFile.open('nowhere.txt')), {
    message: 'cannot read nowhere.txt: no such file'
  })
  t.match(await rejectionOf(TextFile.open('lib')), { message: 'cannot read lib: it is a directory' })
})

t.test('the line counter keeps the order of the lines with many calls in flight', t => {
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`)
  const printed: string[] = []
  return overSocket(
    t,
    LineCounter,
    async conn => {
      const file = await TextFile.open(join(t.testdir({ file: lines.join('\n') }), 'file'))
      const { framesIn } = conn.stats
      t.equal(await conn.root.line_counter(file, line => printed.push(line)), 5000)
      t.same(printed, lines)
      t.ok(conn.stats.framesIn - framesIn < 50, 'the calls were sent in one frame')
    },
    { client: { allowPublicAttrs: true } }
  )
})

t.test('count_lines: an iterator of the client, read ahead, without access rights', t => {
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`)
  const printed: string[] = []
  return overSocket(t, LineCounter, async conn => {
    const file = await TextFile.open(join(t.testdir({ file: lines.join('\n') }), 'file'))
    t.equal(await conn.root.count_lines(file.lines(), line => printed.push(line)), 5000)
    t.same(printed, lines, 'all lines were printed before the call ended')

    let ended = 0
    const endless = async function* () {
      try {
        for (;;) yield 'again'
      } finally {
        ended++
      }
    }
    const call = netref.Netref.with(conn.root.count_lines, { timeout: 50 })(endless(), () => {})
    t.match(await rejectionOf(call), { name: 'TimeoutError' })
    t.equal(ended, 0)
    await conn.close()
    t.match(await conn.closed, { code: 'closed' })
    await waitUntil(() => ended === 1, 'the end of the session ends what is read')
  })
})

t.test('the tour: calls', t =>
  overSocket(t, Tour, async ({ root }) => {
    t.equal(await root.sum(1, 2), 3)
    t.equal(await root.sum(1.1, 2.2), 1.1 + 2.2)
    const time = await root.get_time()
    t.ok(time instanceof Date && Math.abs(Date.now() - time.getTime()) < 60_000)
    t.equal(await root.addtogether('x', 'y', 'z'), 'xyz')
    t.equal(await root.addtogether(), '')
    t.same(await root.connect_server({ message: 'hi' }), { message: 'the server heard: hi' })
  })
)

t.test('the tour: an error and its class', t =>
  overSocket(t, Tour, async ({ root }) => {
    t.same(await root.quadratic(2, -4, 0), [2, 0])
    const error = await rejectionOf(root.quadratic(1, 0, 1))
    t.ok(error instanceof RangeError)
    t.equal(error.message, 'no real roots: the discriminant is -4')
  })
)

t.test('the tour: data', t =>
  overSocket(t, Tour, async ({ root }) => {
    const arthur = { name: 'Arthur', data: { age: 42, sex: 'M' } }
    t.equal(await root.remote_repr(arthur), "{ name: 'Arthur', data: { age: 42, sex: 'M' } }")
    t.same(await root.lengths('hi', 27, [1, 2, 3], { Rigel: 0.12 }), [2, null, 3, 1])
    for (let i = 0; i < 500; i++) {
      const thing = await root.getObj()
      if (i === 0) t.strictSame(thing, THING)
      if (!(await root.sendObj(thing))) t.fail(`the ${i + 1}th time`)
    }
    t.equal(await root.sendObj({ ...THING, name: 'Betelgeuse' }), false)
  })
)

t.test('the tour: awaited at once, later, and together', t =>
  overSocket(t, Tour, async conn => {
    const { root } = conn
    t.equal(await root.ServiceA.Add({ X: 10, Y: 20 }), 30)
    const later = root.ServiceA.Add({ X: 10, Y: 20 })
    t.equal(await root.sum(1, 2), 3)
    t.equal(await later, 30)
    const before = conn.stats
    const sums = await Promise.all(Array.from({ length: 100 }, (_, i) => root.sum(i, i)))
    t.equal(sums[99], 198)
    t.ok(conn.stats.framesOut - before.framesOut <= 2)
    t.ok(conn.stats.framesIn - before.framesIn <= 3)
  })
)

t.test('the tour: a subscription lasts until its holder releases it or disconnects', t =>
  overSocket(t, Tour, async (conn, server) => {
    const received: string[] = []
    const subscribe = async () => {
      const reader = netref.connect<InstanceType<typeof Tour>>(server.url)
      const hear = (news: string) => received.push(news)
      const released = new Promise<void>(resolve => netref.expose(hear, { released: resolve }))
      return { reader, released, subscription: await reader.root.subscribe(hear) }
    }

    const first = await subscribe()
    t.equal(await conn.root.publish('one'), 1)
    t.same(received, ['one'])
    netref.Netref.release(first.subscription)
    await first.released
    t.equal(await conn.root.publish('nobody hears'), 0)
    await first.reader.close()

    const second = await subscribe()
    await second.subscription.cancel()
    await second.released
    t.equal(await conn.root.publish('nobody hears'), 0)
    await second.reader.close()

    const third = await subscribe()
    t.equal(await conn.root.publish('two'), 1)
    const served = [...server.sessions].at(-1)!
    await third.reader.close()
    t.match(await served.closed, { code: 'closed' })
    await third.released
    t.equal(await conn.root.publish('nobody hears'), 0)
    t.same(received, ['one', 'two'])
  })
)
