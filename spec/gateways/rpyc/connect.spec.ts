import type { Socket } from 'node:net'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { encodeBrine } from '../../../lib/gateways/rpyc/brine.js'
import { Handler } from '../../../lib/gateways/rpyc/protocol.js'
import {
  classic,
  connectRpyc,
  type RpycConnectOptions,
  rpyc,
  withKeywords
} from '../../../lib/gateways/rpyc.js'
import { type Connection, connect, expose, Netref, Service, serve } from '../../../lib/index.js'
import { certificates } from '../../support/certificates.js'
import {
  FakePython,
  PyException,
  PyObject,
  pyDict,
  pyFunction,
  pyIterator,
  pyList,
  serveSockets,
  type Theirs
} from '../../support/fake-python.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'

// spec/outside/gateway-rpyc-out.spec.ts has the servers of Python.

const FUZZ = Number(process.env.NETREF_FUZZ ?? 4_000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.comment(`NETREF_FUZZ=${FUZZ} NETREF_FUZZ_SEED=${SEED}`)

// biome-ignore lint/suspicious/noExplicitAny: Python has no types here
type Any = any

/** Runs `use` with a connection to a root of Python, then asserts that both sides hold nothing. */
async function withPython(
  t: Test,
  root: PyObject,
  use: (conn: Connection<Any>, python: FakePython) => Promise<void>,
  options: RpycConnectOptions = {}
): Promise<void> {
  let python!: FakePython
  const server = await serveSockets(t, socket => {
    python = new FakePython(socket, root, 6)
  })
  await using conn = connectRpyc(server.address, options)
  await conn.opened
  await use(conn, python)
  await assertClean(t, conn.session)
  // The root is held as long as the connection.
  await waitUntil(() => python.held <= 1)
}

const account = () =>
  new PyObject('bank.Account', {
    owner: 'Ada',
    deposit: pyFunction(([amount]) => (amount as number) + 1),
    _secret: 1
  })

t.test('calls, attributes, chains', t => {
  const theirs = account()
  const root = new PyObject('bank.Bank', {
    exposed_open: pyFunction(() => theirs),
    exposed_echo: pyFunction(([value]) => value),
    exposed_shadow: 1,
    open: pyFunction(() => theirs),
    echo: pyFunction(([value]) => value),
    nested: new PyObject('a.B', { inner: theirs, text: 'abc' })
  })
  return withPython(t, root, async ({ root }, python) => {
    t.equal(await root.open().deposit(1), 2)
    using one = await root.open()
    t.equal(one, await root.open())
    t.equal(await root.echo(one), one)
    t.equal(await one.owner, 'Ada')
    t.equal(await root.nested.inner.owner, 'Ada')
    t.equal(await root.nested.inner.deposit(5), 6)
    t.match(await rejectionOf(root.nested.text.length), { name: 'ExposureError', message: /await it first/ })
    await Netref.set(one, 'owner', 'Eve')
    t.equal(await one.owner, 'Eve')
    t.equal(await Netref.has(one, 'owner'), true)
    await Netref.delete(one, 'owner')
    t.equal(await Netref.has(one, 'owner'), false)
    t.strictSame(await Netref.keys(one), ['deposit'])
    t.strictSame(await Netref.keys(root), ['open', 'echo', 'shadow'])
    t.strictSame(await Netref.describe(root), [
      { name: 'open', kind: 'function', help: 'About open.' },
      { name: 'echo', kind: 'function', help: 'About echo.' },
      { name: 'shadow', kind: 'accessor' }
    ])
    await Netref.oneway(one.deposit)(1)
    t.match(await rejectionOf(one.nothing()), { name: 'AttributeError' })
    t.match(await rejectionOf(root.echo(Symbol.iterator)), { name: 'UnsendableError' })
    Netref.release(one)
    await waitUntil(() => python.requests.includes(Handler.delete))
  })
})

t.test('plain data is copied, and attributes that are plain data are netrefs', t => {
  const rows = pyList([pyDict({ a: 1, b: pyList([2]) }), 'x'])
  const root = new PyObject('a.Root', {
    rows,
    get: pyFunction(() => rows),
    record: new PyObject('a.Record', { n: 1, rows, f: pyFunction(() => 0), inner: account() })
  })
  return withPython(t, root, async ({ root }) => {
    t.strictSame(await root.get(), [{ a: 1, b: [2] }, 'x'])
    using held = await root.rows
    t.ok(Netref.is(held))
    t.equal(await held[1], 'x')
    await Netref.set(held, '1', 'y')
    t.equal(await held[1], 'y')
    t.equal(await Netref.has(held, '7'), false)
    t.strictSame(await Netref.obtain(held), [{ a: 1, b: [2] }, 'y'])
    await Netref.delete(held, '1')
    t.strictSame(await Netref.obtain(held), [{ a: 1, b: [2] }])
    const record = await Netref.obtain(root.record)
    t.match(record, { n: 1, rows: [{ a: 1, b: [2] }] })
    Netref.release((record as Any).inner)
  })
})

t.test('copies: false leaves plain data where it is', t => {
  const root = new PyObject('a.Root', { get: pyFunction(() => pyList([1])) })
  return withPython(
    t,
    root,
    async ({ root }) => {
      using list = await root.get()
      t.ok(Netref.is(list))
      t.strictSame(await Netref.obtain(list), [1])
    },
    { copies: false }
  )
})

t.test('iterators', t => {
  const endless = pyIterator(Array(100_000).fill(1), 'builtins.generator')
  let closed = 0
  endless.attributes.close = pyFunction(() => void closed++)
  const broken = pyIterator([1, 2], 'a.Iterator', new PyException('OSError', ['disk']))
  const root = new PyObject('a.Root', {
    numbers: pyFunction(() => pyIterator([1, 2, 3])),
    endless: pyFunction(() => endless),
    broken: pyFunction(() => broken),
    list: pyList([4, 5]),
    none: account(),
    wrong: new PyObject('a.Wrong', { __iter__: pyFunction(() => 5) })
  })
  return withPython(t, root, async ({ root }) => {
    const seen: unknown[] = []
    for await (const n of root.numbers()) seen.push(n)
    for await (const n of root.list) seen.push(n)
    t.strictSame(seen, [1, 2, 3, 4, 5])
    for await (const n of root.endless()) if (n === 1) break
    await waitUntil(() => closed === 1)
    const failing = async () => {
      for await (const n of root.broken()) seen.push(n)
    }
    t.match(await rejectionOf(failing()), { name: 'OSError' })
    t.strictSame(seen.slice(5), [1, 2])
    const not = async () => {
      for await (const n of root.none) seen.push(n)
    }
    t.match(await rejectionOf(not()), { name: 'AttributeError' })
    t.match(await rejectionOf(root.wrong[Symbol.asyncIterator]().next()), {
      message: /__iter__ .* returned 5/
    })
    const iterator = root.list[Symbol.asyncIterator]()
    t.strictSame(await Promise.all([iterator.next(), iterator.next(), iterator.next()]), [
      { done: false, value: 4 },
      { done: false, value: 5 },
      { done: true, value: undefined }
    ])
  })
})

t.test('callbacks, objects of this side, the service of this side', t => {
  let python!: FakePython
  const root = new PyObject('a.Root', {
    call: pyFunction(([theirs, ...args]) => python.call(theirs as Theirs, ...args)),
    read: pyFunction(([theirs]) => python.request(Handler.callAttribute, theirs, 'readlines', [], [])),
    ask: pyFunction(async () => {
      const client = await python.request(Handler.getRoot)
      return python.request(Handler.callAttribute, client, 'double', [21], [])
    })
  })
  return withPython(
    t,
    root,
    async ({ root }, fake) => {
      python = fake
      t.equal(await root.call((a: number, b: number) => a + b, 1, 2), 3)
      t.strictSame(await root.read(expose({ readlines: () => ['a'] })), ['a'])
      t.equal(await root.ask(), 42)
    },
    { service: () => expose({ double: (n: number) => 2 * n }) as Any }
  )
})

t.test('keyword arguments, and classic mode', t => {
  let imports = 0
  const sorted = pyFunction((args, keywords) => [args, Object.entries(keywords)])
  const modules: Record<string, PyObject> = {
    builtins: new PyObject('builtins', { sorted }),
    os: new PyObject('os', { getcwd: pyFunction(() => '/') })
  }
  const root = new PyObject('a.Slave', {
    namespace: new PyObject('a.Namespace', { get: pyFunction(([name]) => name) }),
    eval: pyFunction(([text]) => [text, 'evaluated']),
    execute: pyFunction(() => null),
    getmodule: pyFunction(([name]) => {
      imports++
      if (Object.hasOwn(modules, name as string)) return modules[name as string]
      throw new PyException('ModuleNotFoundError', [name])
    })
  })
  return withPython(t, root, async conn => {
    const py = classic(conn)
    t.equal(await py.modules.os!.getcwd(), '/')
    t.equal(await py.modules.os!.getcwd(), '/')
    t.equal(imports, 1)
    t.strictSame(await py.eval('1 + 1'), ['1 + 1', 'evaluated'])
    t.equal(await py.execute('pass'), null)
    t.equal(await py.namespace.get('x'), 'x')
    t.match(await rejectionOf(py.modules.none!.x), { name: 'ModuleNotFoundError' })
    t.match(await rejectionOf(py.modules.none!.x), { name: 'ModuleNotFoundError' })
    t.equal(imports, 3)
    t.equal((py.modules as Any).then, undefined)
    t.equal((py.modules as Any)[Symbol.toStringTag], undefined)
    t.strictSame(await withKeywords(py.builtins.sorted, { reverse: true })([1]), [[[1]], [['reverse', true]]])
    using fn = await py.builtins.sorted
    t.strictSame(await withKeywords(fn, {})(1), [[1], []])
    t.match(await rejectionOf(withKeywords(fn, [] as never)(1)), {
      name: 'TypeError',
      message: /plain object/
    })
    Netref.release(await py.modules.os)
    Netref.release(await py.builtins)
  })
})

t.test('the gateway is a server for it, too, and Python objects go on over a WebSocket', async t => {
  class Bank extends Service {
    exposed_open(owner: string, balance = 0) {
      return expose({ owner, balance, deposit: (amount: number) => balance + amount })
    }
    exposed_call(fn: Netref<(n: number) => number>, n: number) {
      return fn(n)
    }
  }
  await using bank = await serve(Bank, { port: 0, gateways: [rpyc()] })
  await using conn = connectRpyc<Any>({ host: '127.0.0.1', port: bank.port })
  const opened = await withKeywords(conn.root.open, { balance: 4 })('Ada')
  t.equal(await opened.deposit(1), 5)
  t.equal(await conn.root.call((n: number) => n + 1, 1), 2)
  class Relay extends Service {
    exposed_account() {
      return opened
    }
  }
  await using relay = await serve(Relay, { port: 0 })
  await using third = connect<Any>(relay.url)
  t.equal(await third.root.account().deposit(2), 6)
  Netref.release(opened)
  await assertClean(t, third.session, ...relay.sessions, conn.session)
})

t.test('a server of RPyC 5 is asked again in its version', async t => {
  const root = new PyObject('a.Root', { echo: pyFunction(([value]) => value) })
  const server = await serveSockets(t, socket => new FakePython(socket, root, 5))
  await using conn = connectRpyc(server.address)
  t.equal(await conn.root.echo(1), 1)
  t.equal(server.count(), 2)
  await using given = connectRpyc(server.address, { version: 5 })
  t.equal(await given.root.echo(1), 1)
  t.equal(server.count(), 3)
  await using wrong = connectRpyc(server.address, { version: 6 })
  t.match(await wrong.closed, { code: 'unreachable', message: /closed the connection/ })
})

t.test('TLS', async t => {
  class Echo extends Service {
    exposed_echo(value: unknown) {
      return value
    }
  }
  const { ca, server: own } = await certificates(t)
  await using server = await serve(Echo, { port: 0, gateways: [rpyc({ port: 0, tls: own })] })
  const port = server.gatewayPorts.rpyc!
  await using byName = connectRpyc(`localhost:${port}`, { tls: { ca } })
  t.equal(await byName.root.echo(1), 1)
  await using byAddress = connectRpyc(`127.0.0.1:${port}`, { tls: { ca } })
  t.equal(await byAddress.root.echo(1), 1)
  await using untrusting = connectRpyc(`localhost:${port}`, { tls: true })
  t.match(await untrusting.closed, { code: 'unreachable', message: /certificate/ })
})

t.test('what connectRpyc takes', async t => {
  const addresses = [
    '',
    ':1',
    'host:',
    'host:0',
    'host:65536',
    'host:x',
    'ws://host:1',
    'a b:1',
    '::1:1',
    'u@h:1',
    'h/p'
  ]
  for (const address of [...addresses, { host: 'h' }, { host: '', port: 1 }, { host: 'h', port: 1.5 }, 1, {}])
    t.throws(() => connectRpyc(address as never), {
      name: 'TypeError',
      message: /^connectRpyc: .* is not an address/
    })
  for (const options of [
    { version: 4 },
    { version: 'x' },
    { tls: 1 },
    { tls: null },
    { copies: 1 },
    { prot: 1 }
  ])
    t.throws(() => connectRpyc('localhost', options as never), {
      name: 'TypeError',
      message: /^connectRpyc: /
    })
  // Nobody listens on these ports.
  for (const address of ['[::1]:1', '127.0.0.1:1', 'localhost:1', { host: 'localhost', port: 1 }]) {
    await using conn = connectRpyc(address)
    t.match(await conn.closed, { code: 'unreachable', message: /connectRpyc: .*/ })
  }
  await using nowhere = connectRpyc('no-such-host.invalid')
  t.match(await nowhere.closed, { code: 'unreachable', message: /no-such-host.invalid/ })
  await using wrongKey = connectRpyc('localhost:1', { tls: { key: 'no key', cert: 'no certificate' } })
  t.match(await wrongKey.closed, { code: 'unreachable' })
})

t.test('a server that does not answer is unreachable, whatever it sends', async t => {
  const limits = { helloMs: 300 }
  const frame = (body: Uint8Array, flag = 0) => {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(body.length)
    head[4] = flag
    return Buffer.concat([head, body, Buffer.from('\n')])
  }
  const message = (...parts: unknown[]) => frame(Buffer.concat([Buffer.from([2]), encodeBrine(parts)]))
  const cases: [serve: (socket: Socket) => unknown, message: RegExp][] = [
    [() => {}, /did not answer within 300 ms/],
    [socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /frame of \d+ bytes/],
    [socket => socket.write('SSH-2.0-OpenSSH_9.2\r\n'), /frame of \d+ bytes/],
    [socket => socket.destroy(), /closed the connection|ECONNRESET/],
    [socket => socket.write(message(0, [1, 5])), /root of the peer is no object/],
    [socket => socket.write(message(0, [1, null])), /root of the peer is no object/],
    [socket => socket.write(message(7, [1, null])), /request 7, which was not made/],
    [socket => socket.write(message(0, [4, ['a', 1]])), /without a name and two ids/],
    [socket => socket.write(message(0, [5, 1])), /label 5/],
    [socket => socket.write(message(0, 1)), /without a label/],
    [socket => socket.write(frame(deflateSync(Buffer.alloc(64 << 20)), 1)), /compressed frame/],
    [socket => new FakePython(socket, account(), 6, new Set([Handler.getRoot])), /did not answer/]
  ]
  for (const [serve, message] of cases) {
    const server = await serveSockets(t, serve)
    await using conn = connectRpyc(server.address, { limits, version: 6 })
    const call = rejectionOf(conn.root.anything())
    t.match(await conn.closed, { code: 'unreachable', message }, String(message))
    t.match(await call, { name: 'SessionEndedError' })
    await assertClean(t, conn.session)
  }
})

t.test('a connection that is closed before the server answers', async t => {
  const server = await serveSockets(t, () => {})
  const conn = connectRpyc(server.address)
  const call = rejectionOf(conn.root.anything())
  await conn.close()
  t.match(await call, { name: 'SessionEndedError' })
  const silent = await serveSockets(t, () => {})
  const other = connectRpyc(silent.address)
  await waitUntil(() => silent.count() === 1)
  await other.close()
  t.match(await other.closed, { code: 'closed' })
})

t.test('a server that goes, or breaks the protocol, ends the connection and settles all calls', async t => {
  const ways: [leave: (python: FakePython) => unknown, reason: { code: RegExp; message?: RegExp }][] = [
    [python => python.socket.destroy(), { code: /closed|connection-lost/ }],
    [python => python.socket.resetAndDestroy(), { code: /connection-lost/ }],
    [python => python.socket.end(), { code: /closed/ }],
    [python => python.socket.write('garbage, which is no frame'), { code: /protocol/ }],
    [python => python.send(2, 999, [1, 1]), { code: /protocol/, message: /999/ }],
    [python => python.send(1, 0, [7, [2, [[3, ['x', 1]]]]]), { code: /protocol/ }],
    [python => python.send(1, 0, 5), { code: /protocol/ }],
    [python => python.send(3, 1, [1]), { code: /protocol|connection-lost/ }]
  ]
  for (const [leave, reason] of ways) {
    let python!: FakePython
    const server = await serveSockets(t, socket => {
      python = new FakePython(socket, account(), 6, new Set([Handler.callAttribute]))
    })
    await using conn = connectRpyc(server.address)
    await conn.opened
    const calls = [conn.root.deposit(1), conn.root.deposit(2), Netref.oneway(conn.root.deposit)(3)]
    await waitUntil(() => python.requests.length >= 3)
    leave(python)
    for (const call of calls.slice(0, 2)) t.match(await rejectionOf(call), { name: 'SessionEndedError' })
    await calls[2].catch(() => {})
    t.match(await conn.closed, reason)
    await assertClean(t, conn.session)
  }
})

t.test('wrong ids, exceptions of other forms, and values that are no results fail one call', async t => {
  const root = new PyObject('a.Root', { echo: pyFunction(([value]) => value) })
  let python!: FakePython
  const server = await serveSockets(t, socket => {
    python = new FakePython(socket, root, 6, new Set([Handler.callAttribute]))
  })
  await using conn = connectRpyc(server.address)
  await conn.opened
  const answers: [type: 2 | 3, args: unknown, error: object][] = [
    [2, [3, ['netref.Netref', 1, 99]], { name: 'KeyError' }],
    [3, 1, { name: 'StopIteration' }],
    [3, 'an old text', { name: 'Exception', message: 'an old text' }],
    [3, [['m', 'Odd'], [1, 2], [['k', 1], ['bad']], 5], { name: 'Odd', args: [1, 2] }]
  ]
  for (const [type, args, error] of answers) {
    const { length } = python.requests
    const call = rejectionOf(conn.root.echo(1))
    await waitUntil(() => python.requests.length > length)
    python.send(type, python.lastRequest, args)
    t.match(await call, error)
  }
})

t.test('mutated replies of a server settle every call', async t => {
  const rows = pyList([pyDict({ a: 1 }), account(), pyList([2])])
  const root = new PyObject('a.Root', { get: pyFunction(() => rows), echo: pyFunction(([value]) => value) })
  const change = fc.record({ at: fc.nat(400), byte: fc.nat(255), isCut: fc.nat(9).map(n => n === 0) })
  let ended = 0
  await fc.assert(
    fc.asyncProperty(change, async ({ at, byte, isCut }) => {
      let sent = 0
      const server = await serveSockets(t, socket => {
        const write = socket.write.bind(socket)
        socket.write = ((bytes: Buffer) => {
          if (at >= sent && at < sent + bytes.length) {
            bytes[at - sent] = byte
            if (isCut) bytes = bytes.subarray(0, at - sent)
          }
          sent += bytes.length
          return write(bytes)
        }) as never
        new FakePython(socket, root, 6)
      })
      await using conn = connectRpyc(server.address, {
        version: 6,
        limits: { helloMs: 200 },
        onError: () => {}
      })
      const calls = [conn.root.get(), conn.root.echo([1, 'x']), conn.root.echo(() => {}), conn.root.nothing()]
      const late = new Promise(resolve => setTimeout(resolve, 300))
      await Promise.race([Promise.allSettled(calls), late])
      if (conn.state === 'closed') ended++
      await conn.close()
      await Promise.allSettled(calls)
      return true
    }),
    { numRuns: Math.ceil(FUZZ / 200), seed: SEED }
  )
  t.ok(ended > 0, `${ended} connections ended`)
})
