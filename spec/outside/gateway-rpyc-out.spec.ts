// Calls the servers of RPyC 5 and 6 by `connectRpyc`: objects both ways, classic mode, TLS, and the registry.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { pickle } from '../../lib/gateways/rpyc/pickle.js'
import {
  classic,
  connectRpyc,
  findRpyc,
  type RpycConnectOptions,
  rpyc,
  withKeywords
} from '../../lib/gateways/rpyc.js'
import { type Connection, connect, expose, Netref, Service, serve } from '../../lib/index.js'
import { certificates } from '../support/certificates.js'
import { assertClean, rejectionOf } from '../support/helpers.js'
import { PythonProgram, pythonWithRpyc, skipWithoutRpyc } from '../support/python-rpyc.js'

const SERVER = fileURLToPath(new URL('../support/rpyc-server.py', import.meta.url))

// biome-ignore lint/suspicious/noExplicitAny: Python has no types here
type Any = any

/** Runs `use` with a connection to a server, then asserts that nothing is left of it. */
async function withServer(
  t: Test,
  major: number,
  kind: 'service' | 'classic',
  use: (conn: Connection<Any>, port: number) => Promise<void>,
  options: RpycConnectOptions = {}
): Promise<void> {
  const program = new PythonProgram(t, pythonWithRpyc(major), [SERVER, kind])
  const port = Number(await program.line())
  await using conn = connectRpyc(`127.0.0.1:${port}`, options)
  await use(conn, port)
  await assertClean(t, conn.session)
}

class Notes extends Service {
  constructor(private readonly lines: string[]) {
    super()
  }
  exposed_readlines() {
    return this.lines
  }
}

for (const major of [5, 6]) {
  t.test(`a server of RPyC ${major}`, { skip: skipWithoutRpyc(major) }, async t => {
    t.test('calls, values, chains, attributes', t =>
      withServer(t, major, 'service', async ({ root }) => {
        t.equal(await root.echo('é€😀'), 'é€😀')
        t.strictSame(await root.numbers(), [
          2n ** 60n,
          -1,
          1.5,
          Number.POSITIVE_INFINITY,
          true,
          null,
          new Uint8Array([0, 255]),
          [1, [2, 'x']],
          { a: [1] },
          new Map([[1, 2]]),
          new Set([3])
        ])
        for (const value of [null, true, 1, -49, 160, 1.5, 2n ** 80n, '', new Uint8Array(5000), [1, ['a']]])
          t.strictSame(await root.echo(value), value)
        const types: [unknown, string][] = [
          [1, 'int'],
          [1.5, 'float'],
          ['a', 'str'],
          [null, 'NoneType'],
          [new Uint8Array(1), 'bytes'],
          [[1], 'tuple']
        ]
        for (const [value, type] of types) t.equal(await root.type_of(value), type)
        t.equal(await root.open('Ada', 5).deposit(3), 8, 'a chain')
        using account = await root.open('Ada')
        t.ok(Netref.is(account))
        t.equal(await account.deposit(10), 10)
        t.equal(await account.balance, 10)
        await Netref.set(account, 'balance', 20)
        t.equal(await account.deposit(1), 21)
        t.strictSame(await Netref.keys(account), ['balance', 'deposit', 'owner'])
        t.strictSame(await Netref.obtain(account), { owner: 'Ada', balance: 21 })
        t.equal(await Netref.has(account, 'owner'), true)
        t.equal(await Netref.has(account, 'nothing'), false)
        const description = (await Netref.describe(account)) as Any[]
        t.match(
          description.find(({ name }) => name === 'deposit'),
          { kind: 'function', help: 'Adds to the balance.' }
        )
        t.ok((await Netref.keys(root)).includes('line_counter'))
        t.notOk((await Netref.keys(root)).includes('_things'))
      })
    )

    t.test('objects come home as themselves, both ways', t =>
      withServer(t, major, 'service', async ({ root }) => {
        using account = await root.open('Ada')
        t.equal(await root.echo(account), account)
        t.equal(await root.owner_of(account), 'Ada')
        await root.keep(account)
        t.equal(await root.kept(), account)
        const notes = new Notes([])
        t.equal(await root.echo(notes), notes)
        const double = (n: number) => 2 * n
        t.equal(await root.echo(double), double)
        await root.drop()
      })
    )

    t.test('Python calls functions and objects of this side, and its service', t =>
      withServer(
        t,
        major,
        'service',
        async ({ root }) => {
          const heard: string[] = []
          const lines = ['a\n', 'b\n', 'c\n']
          t.equal(await root.line_counter(new Notes(lines), (line: string) => void heard.push(line)), 3)
          t.strictSame(heard, lines)
          t.equal(await root.call((a: number, b: number) => a + b, 1, 2), 3)
          t.equal(await root.ask_client(21), 42)
          t.equal(await root.obtain({ a: [1, 'x'], b: { c: null } }), "{'a': [1, 'x'], 'b': {'c': None}}")
          const failing = () => {
            throw new RangeError('too far')
          }
          t.match(await rejectionOf(root.call(failing)), { name: 'ValueError', message: 'too far' })
          const nested = async (n: number): Promise<number> =>
            n === 0 ? 0 : 1 + (await root.call(nested, n - 1))
          t.equal(await root.call(nested, 5), 5, 'calls within calls')
          // RPyC keeps the last exception, and with it the arguments of the call, in a cycle.
          await rejectionOf(root.look_up('key'))
          await root.collect()
        },
        { service: () => expose({ double: (n: number) => 2 * n }) as Any }
      )
    )

    t.test('iterators', t =>
      withServer(t, major, 'service', async ({ root }) => {
        const lines: string[] = []
        for await (const line of root.lines(2500)) lines.push(line as string)
        t.equal(lines.length, 2500)
        t.equal(lines.at(-1), 'line 2500')
        for await (const line of root.lines(1e9)) if (line === 'line 7') break
        while ((await root.get_finished()) < 2);
        t.pass('Python is told that the loop was left')
      })
    )

    t.test('exceptions are errors with the name of their class', t =>
      withServer(t, major, 'service', async ({ root }) => {
        const failed = await rejectionOf(root.fail('broke'))
        t.match(failed, { name: 'NoMoney', message: 'broke', module: '__main__', args: ['broke'] })
        t.notOk('traceback' in failed)
        t.match(await rejectionOf(root.look_up('key')), { name: 'KeyError', message: 'key' })
        t.match(await rejectionOf(root.open('Ada').deposit(-1)), {
          name: 'ValueError',
          args: ['no negative amounts', -1]
        })
        t.match(await rejectionOf(root.nothing()), { name: 'AttributeError' })
        t.match(await rejectionOf(root.open()), { name: 'TypeError', message: /missing 1 required/ })
        const later = await rejectionOf(Netref.with(root, { timeout: 50 }).slow(0.3))
        t.equal(later.name, 'TimeoutError')
        t.equal(await root.echo('after'), 'after')
      })
    )

    t.test('exposeStacks brings the tracebacks', t =>
      withServer(
        t,
        major,
        'service',
        async ({ root }) => {
          t.match((await rejectionOf(root.fail('broke'))).traceback, /raise NoMoney\(why\)/)
        },
        { exposeStacks: true }
      )
    )

    t.test('keyword arguments', t =>
      withServer(t, major, 'service', async ({ root }) => {
        const account = await withKeywords(root.open, { balance: 7 })('Ada')
        t.equal(await account.balance, 7)
        t.match(await rejectionOf(withKeywords(root.open, { balanse: 7 })('Ada')), {
          name: 'TypeError',
          message: /unexpected keyword argument 'balanse'/
        })
      })
    )

    t.test('1000 calls in flight keep their order', t =>
      withServer(t, major, 'service', async ({ root }) => {
        const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => root.echo(i)))
        t.strictSame(
          results,
          results.map((_, i) => i)
        )
      })
    )

    t.test('an object of Python is handed on over a WebSocket', t =>
      withServer(t, major, 'service', async python => {
        const account = await python.root.open('Ada', 1)
        class Relay extends Service {
          exposed_account() {
            return account
          }
          exposed_owner_of(object: object) {
            return python.root.owner_of(object)
          }
        }
        await using server = await serve(Relay, { port: 0 })
        await using conn = connect<Any>(server.url)
        const theirs = await conn.root.account()
        t.equal(await theirs.deposit(4), 5)
        t.equal(await theirs.owner, 'Ada')
        t.equal(await conn.root.owner_of(theirs), 'Ada', 'it goes back to Python as itself')
        t.match(await rejectionOf(theirs.deposit(-1)), { name: 'ValueError' })
        Netref.release(theirs)
        Netref.release(account)
        await assertClean(t, conn.session, ...server.sessions)
      })
    )

    t.test('the version can be given, and the end of the server is told', async t => {
      const program = new PythonProgram(t, pythonWithRpyc(major), [SERVER, 'service'])
      const port = Number(await program.line())
      const version = major === 6 ? 6 : 5
      await using conn = connectRpyc({ host: '127.0.0.1', port }, { version })
      t.equal(await conn.root.echo(1), 1)
      const slow = rejectionOf(conn.root.slow(60))
      program.child.kill('SIGKILL')
      t.match(await slow, { name: 'SessionEndedError', mayHaveRun: true })
      t.match(await conn.closed, { code: /closed|connection-lost/ })
    })

    t.test('classic mode', t =>
      withServer(t, major, 'classic', async conn => {
        const py = classic(conn)
        t.match(await py.modules.os!.getcwd(), /^\//)
        t.equal(await py.modules['os.path'].join('a', 'b'), 'a/b')
        t.equal(await py.eval('2 ** 100'), 2n ** 100n)
        await py.execute('rows = [{"a": 1}, {"a": 2}]')
        t.strictSame(await py.eval('rows'), [{ a: 1 }, { a: 2 }])
        t.strictSame(await py.namespace.get('rows'), [{ a: 1 }, { a: 2 }])
        await py.namespace.update({ answer: 42 })
        t.equal(await py.eval('answer'), 42)
        t.equal(await py.builtins.len([1, 2, 3]), 3)
        t.strictSame(await withKeywords(py.builtins.sorted, { reverse: true })([1, 3, 2]), [3, 2, 1])
        t.match(await rejectionOf(py.modules.no_such_module!.x), { name: 'ModuleNotFoundError' })
        t.match(await rejectionOf(py.modules.no_such_module!.x), { name: 'ModuleNotFoundError' })
        const database = await py.modules.sqlite3!.connect(':memory:')
        await database.execute('create table t (n int, s text)')
        const insert = 'insert into t values (?, ?)'
        await database.executemany(insert, [
          [1, 'one'],
          [2, 'two']
        ])
        const rows: unknown[] = []
        for await (const row of database.execute('select * from t order by n')) rows.push(row)
        t.strictSame(rows, [
          [1, 'one'],
          [2, 'two']
        ])
      })
    )

    t.test('TLS: to a server of RPyC, and from its client to the gateway', async t => {
      const { dir, ca, server: own, ada } = await certificates(t)
      const files = ['server.key', 'server.crt', 'ca.crt'].map(name => `${dir}/${name}`)
      const program = new PythonProgram(t, pythonWithRpyc(major), [SERVER, 'service', ...files])
      const port = Number(await program.line())
      await using conn = connectRpyc(`localhost:${port}`, { tls: { ca, ...ada } })
      t.equal(await conn.root.echo(1), 1)
      await using untrusting = connectRpyc(`localhost:${port}`, { tls: true })
      t.match(await untrusting.closed, { code: 'unreachable', message: /certificate/ })
      await using plain = connectRpyc(`localhost:${port}`)
      t.match(await plain.closed, { code: 'unreachable' })

      class Echo extends Service {
        exposed_echo(value: unknown) {
          return value
        }
      }
      await using gateway = await serve(Echo, { port: 0, gateways: [rpyc({ port: 0, tls: own })] })
      const client = new PythonProgram(t, pythonWithRpyc(major), [
        '-c',
        `import rpyc, ssl, sys
conn = rpyc.ssl_connect("localhost", int(sys.argv[1]), ca_certs=sys.argv[2], cert_reqs=ssl.CERT_REQUIRED)
print(conn.root.echo("by TLS"))
conn.close()`,
        String(gateway.gatewayPorts.rpyc),
        `${dir}/ca.crt`
      ])
      t.equal(await client.line(), 'by TLS')
    })

    t.test("RPyC's registry", async t => {
      const registry = new PythonProgram(t, pythonWithRpyc(major), [
        '-c',
        `from rpyc.utils.registry import UDPRegistryServer
registry = UDPRegistryServer(host="127.0.0.1", port=0)
print(registry.port, flush=True)
registry.start()`
      ])
      const address = { host: '127.0.0.1', port: Number(await registry.line()) }
      class Echo extends Service {
        exposed_echo(value: unknown) {
          return value
        }
      }
      const server = await serve(Echo, {
        port: 0,
        gateways: [rpyc({ registry: { ...address, names: ['NETREF_ECHO'] } })]
      })
      let found = await findRpyc('netref_echo', address)
      while (found.length === 0) found = await findRpyc('netref_echo', address)
      t.strictSame(found, [{ host: '127.0.0.1', port: server.port }])
      const client = new PythonProgram(t, pythonWithRpyc(major), [
        '-c',
        `import rpyc, sys
from rpyc.utils.registry import UDPRegistryClient
registrar = UDPRegistryClient(ip="127.0.0.1", port=int(sys.argv[1]))
conn = rpyc.connect_by_service("NETREF_ECHO", registrar=registrar)
print(conn.root.echo("by name"))
conn.close()`,
        String(address.port)
      ])
      t.equal(await client.line(), 'by name')
      await using conn = connectRpyc<Any>(found[0]!)
      t.equal(await conn.root.echo(1), 1)
      await conn.close()
      await server.close()
      t.strictSame(await findRpyc('netref_echo', address), [], 'it unregisters when it closes')
      t.strictSame(await findRpyc('no such service', address), [])
    })
  })
}

t.test('Python reads the pickles of plain data', { skip: skipWithoutRpyc(5) }, async t => {
  const data = fc.letrec(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, true, false),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.bigInt().map(n => n),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter(n => !Number.isSafeInteger(n)),
      fc.string({ unit: 'grapheme' }),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(
        fc.string().filter(key => key !== '__proto__'),
        tie('value'),
        { maxKeys: 5, noNullPrototype: true }
      )
    )
  })).value
  const values = fc.sample(data, { numRuns: 300, seed: 1 })
  const withoutBigInts = JSON.stringify(values, (_, value) =>
    typeof value === 'bigint' ? { int: String(value) } : value
  )
  const output = execFileSync(
    pythonWithRpyc(5),
    [
      '-c',
      `import json, pickle, sys
def ints(x): return int(x["int"]) if list(x) == ["int"] else x
size = int(sys.stdin.buffer.readline())
expected = json.loads(sys.stdin.buffer.read(size), object_hook=ints)
print(pickle.loads(sys.stdin.buffer.read()) == expected)`
    ],
    {
      input: Buffer.concat([
        Buffer.from(`${Buffer.byteLength(withoutBigInts)}\n${withoutBigInts}`),
        pickle(values, 20)
      ]),
      encoding: 'utf8'
    }
  )
  t.equal(output, 'True\n')
})
