// Tests the ZeroRPC gateway with the client and the command of Python's zerorpc.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { callSignal, expose, Service } from '../../lib/index.js'
import { CHILD_ENV, waitUntil } from '../support/helpers.js'
import { skipUnlessInstalled, ZERORPC_PYTHON } from '../support/installed-programs.js'
import type { Untyped } from '../support/wire.js'
import { withZeroRpc } from '../support/zerorpc.js'

const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url))
const skip = skipUnlessInstalled(ZERORPC_PYTHON)
t.setTimeout(120_000)

let aborted = 0

class Tutorial extends Service {
  static override help = { add: 'Adds two numbers\nThe second one is 1 by default' }
  exposed_maths = { half: (x: number) => x / 2 }
  exposed_add(a: number, b = 1) {
    return a + b
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_nothing() {}
  exposed_made() {
    return {
      map: new Map([['a', 1]]),
      set: new Set([1]),
      big: 2n ** 63n,
      none: [undefined],
      bytes: Uint8Array.of(0, 255),
      date: new Date(5007)
    }
  }
  exposed_fail(): never {
    throw new RangeError('no such row')
  }
  exposed_reference(): Untyped {
    return expose({})
  }
  *exposed_rows(count: number) {
    for (let i = 0; i < count; i++) yield i
  }
  *exposed_failing() {
    yield 1
    throw new RangeError('no more rows')
  }
  exposed_sleep(seconds: number) {
    const signal = callSignal()!
    signal.addEventListener('abort', () => aborted++)
    return sleep(seconds * 1000, 'slept', { signal })
  }
}

interface Program {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with what it printed. */
  readonly ended: Promise<string>
}

function start(...args: string[]): Program {
  const child = spawn(ZERORPC_PYTHON, args, {
    cwd: PROGRAMS,
    env: { ...CHILD_ENV, PYTHONDONTWRITEBYTECODE: '1' }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', text => {
      output += text
    })
  const ended = once(child, 'close').then(([code]) => (code === 0 ? output : `${output}failed with ${code}`))
  return { child, output: () => output, ended }
}

t.test("Python's client", { skip }, async t => {
  aborted = 0
  await withZeroRpc(t, Tutorial, async ({ port, server }) => {
    const address = `tcp://127.0.0.1:${port}`
    // A client that stops, as on a machine that is unplugged, is lost.
    const code = `import zerorpc; c = zerorpc.Client(); c.connect('${address}'); print(c.sleep(100))`
    const stopped = start('-c', code)
    await waitUntil(() => [...server.sessions].some(({ stats }) => stats.callsIn === 1))
    stopped.child.kill('SIGSTOP')
    // One that ends is known at once.
    const killed = start('-c', code)
    await waitUntil(() => [...server.sessions].filter(({ stats }) => stats.callsIn === 1).length === 2)
    killed.child.kill('SIGKILL')
    await waitUntil(() => aborted === 1)
    t.equal(server.sessions.size, 1)

    const printed = await start('zerorpc_client.py', address).ended
    t.same(
      printed
        .trimEnd()
        .split('\n')
        // What the package says when gevent wakes it late.
        .filter(line => !line.includes('gevent_zeromq BUG'))
        .map(line => {
          try {
            return JSON.parse(line)
          } catch {
            return line
          }
        }),
      [
        [3, 2, 2.5, null],
        new Array(14).fill(true),
        true,
        [{ a: 1 }, [1], 2 ** 63, [null]],
        [true, 5_007_000_000],
        ['NameError', 'missing', null],
        ['RangeError', 'no such row', null],
        'TypeError',
        ['NoFormError', 'result is a reference, and ZeroRPC has none; pass plain data', null],
        'ProtocolError',
        [[0, 1, 2, 3, 4], [], 199_990_000],
        12_497_500,
        1,
        ['RangeError', 'no more rows'],
        125_250,
        ['pong', 'netref'],
        'Adds two numbers\nThe second one is 1 by default',
        [
          {
            args: [{ name: 'a' }, { name: 'b', default: null }],
            doc: 'Adds two numbers\nThe second one is 1 by default'
          },
          ['add', 'echo', 'fail']
        ],
        'slept'
      ]
    )
    await waitUntil(() => aborted === 2)
    t.equal([...server.sessions][0]?.stats.pending, 0)
    stopped.child.kill('SIGKILL')
    await stopped.ended
  })
})

t.test('the command zerorpc', { skip }, async t => {
  await withZeroRpc(t, Tutorial, async ({ port }) => {
    const address = `tcp://127.0.0.1:${port}`
    // The command uses a name that Python 3.10 has no more.
    const code =
      'import collections, collections.abc as abc; collections.Iterator = abc.Iterator; from zerorpc.cli import main; main()'
    const run = async (...args: string[]) =>
      (await start('-W', 'ignore', '-c', code, ...args).ended).replace(/^connecting to .*\n/m, '')
    t.match(await run(address), /^\[netref\]\nadd +Adds two numbers\necho +<undocumented>\n/)
    t.match(await run('-?', address), /^\[netref\]\nadd\(a, b\)\n/)
    t.equal(
      await run('-?', address, 'add'),
      '[netref]\nadd(a, b)\n\nAdds two numbers\nThe second one is 1 by default\n\n'
    )
    t.equal(await run('--json', address, 'add', '1', '2'), '3\n')
    t.equal(await run('--json', address, 'maths.half', '5'), '2.5\n')
    t.equal(await run('--json', '--print-json', address, 'rows', '3'), '[0,1,2]')
    t.match(await run(address, 'missing'), /zerorpc\.exceptions\.RemoteError: NameError: missing/)
  })
})
