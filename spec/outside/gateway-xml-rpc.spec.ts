// Runs Python's xmlrpc.client against the gateway of XML-RPC, and connectXmlRpc against Python's xmlrpc.server.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { z } from 'zod'
import { connectXmlRpc, XmlRpcFault, xmlRpc } from '../../lib/gateways/xml-rpc.js'
import { callSession, expose, exposed, Netref, Service, type Session, serve } from '../../lib/index.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { pythonWith } from '../support/installed-programs.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const python = pythonWith('xmlrpc.client')
const skip = python === undefined && 'not installed here: python3'

class Maths {
  @exposed(z.tuple([z.number()])) Half(x: number) {
    return x / 2
  }
  @exposed get deep() {
    return { er: () => 'deeper' }
  }
}

class Tutorial extends Service {
  static override help = { sum: 'Adds two numbers' }
  exposed_Maths = new Maths()

  exposed_sum(x: number, y: number) {
    return x + y
  }
  exposed_echo(...values: unknown[]) {
    return values.length === 1 ? values[0] : values
  }
  exposed_divide(x: number, y: number) {
    if (y === 0) throw new RangeError(`${x} cannot be divided by 0`)
    return x / y
  }
  exposed_fail(code: number) {
    throw Object.assign(new Error('it failed'), { code })
  }
  exposed_who() {
    return callSession()!.identity
  }
  exposed_open() {
    return { at: [expose(new Maths())] }
  }
  exposed_nothing() {}
  exposed_big() {
    return 2n ** 60n
  }
  exposed_whole() {
    return 5.0
  }
  exposed_when() {
    return new Date('2026-01-15T21:30:00.999Z')
  }
  exposed_bag() {
    return [new Set([1]), new Map([['a', undefined]]), new Uint8Array([7])]
  }
  secret() {
    return 'not for you'
  }
}

t.test("Python's xmlrpc.client calls a service", { skip }, async t => {
  await using server = await serve(Tutorial, {
    port: 0,
    gateways: [xmlRpc()],
    authenticate: ({ headers }) => {
      const [, credentials = ''] = String(headers.authorization).split(' ')
      const [name, password] = Buffer.from(credentials, 'base64').toString().split(':')
      return password === 'se cret' && name
    }
  })
  const sessions: Session[] = []
  server.on('session', session => sessions.push(session))
  const url = server.url.replace('ws:', 'http:')
  const { stdout } = await promisify(execFile)(python!, [
    here('../support/xml-rpc-client.py'),
    url,
    url.replace('//', '//ann:se%20cret@')
  ])
  const lines: [start: string, rest: string | RegExp][] = [
    [
      'methods',
      'Maths.Half bag big divide echo fail nothing open sum system.listMethods system.methodHelp' +
        ' system.methodSignature system.multicall when who whole'
    ],
    ['help', "Adds two numbers / ''"],
    ['signature', 'signatures not supported'],
    ['calls', '3 2.5 deeper'],
    ['who', 'ann'],
    ['fault', 'Fault 1 RangeError: 1 cannot be divided by 0'],
    ['code', 'Fault 77 Error: it failed'],
    ['missing', /^Fault -32601 .*"missing" is not exposed/],
    ['hidden', /^Fault -32601 .*"secret" is not exposed/],
    ['parameters', /^Fault -32602 ArgumentsError/],
    ['reference', 'Fault 1 NoFormError: result.at[0] is a reference, and XML-RPC has none; pass plain data'],
    ['nothing', 'None'],
    ['none', 'TypeError'],
    ['multicall', '3 Fault 1 RangeError: 1 cannot be divided by 0 4'],
    ['stranger', 'ProtocolError 401'],
    ['values', '26 True'],
    ['returns', "1152921504606846976 5 2026-01-15 21:30:00 [[1], {'a': None}, b'\\x07']"],
    ['classes', "Binary b'\\x01\\x02' DateTime 20260115T21:30:00"],
    ['encoding', 'True'],
    ['keep-alive', 'True 1']
  ]
  const printed = stdout.trimEnd().split('\n')
  t.equal(printed.length, lines.length)
  lines.forEach(([start, rest], i) => {
    const [, name, text] = /^(\S+): (.*)$/.exec(printed[i]!)!
    t.equal(name, start)
    t.match(text, rest)
  })
  await waitUntil(() => server.sessions.size === 0)
  await assertClean(t, ...sessions)
})

t.test("connectXmlRpc calls Python's SimpleXMLRPCServer", { skip }, async t => {
  const program = spawn(python!, [here('../support/xml-rpc-server.py')])
  t.teardown(() => program.kill())
  program.stderr.pipe(process.stderr)
  const [port] = await once(program.stdout.setEncoding('utf8'), 'data')

  interface Python {
    add<V>(x: V, y: V): V
    echo<V>(value: V): V
    kind(value: unknown): string
    later(date: Date): Date
    big(): unknown
    maths: { half(x: number): number }
    missing(): void
  }
  await using conn = connectXmlRpc<Python>(`http://127.0.0.1:${port.trim()}`)
  const { root } = conn
  t.equal(await root.add(1, 2), 3)
  t.equal(await root.maths.half(5), 2.5)
  const values = [true, -7, 2 ** 31 - 1, 2.5, -0, 1e300, '<&>é€😀', '', new Uint8Array([0, 255])]
  const others = [
    new Date('2026-01-15T21:30:00Z'),
    null,
    [],
    {},
    { a: [{ b: null }] },
    JSON.parse('{"__proto__":1}')
  ]
  for (const value of [...values, ...others]) t.strictSame(await root.echo(value), value)
  // Python does not escape a carriage return, which XML reads as a line end.
  t.equal(await root.echo('a\r\nb'), 'a\nb')
  const kinds = [
    7,
    7.5,
    2n ** 60n,
    'a',
    true,
    null,
    new Uint8Array(1),
    new Date(0),
    [1],
    new Set([1]),
    new Map()
  ]
  t.strictSame(await Promise.all(kinds.map(value => root.kind(value))), [
    'int',
    'float',
    'int',
    'str',
    'bool',
    'NoneType',
    'bytes',
    'datetime',
    'list',
    'list',
    'dict'
  ])
  t.strictSame(await root.later(new Date('2026-01-15T21:30:00Z')), new Date('2026-01-16T21:30:00Z'))
  t.strictSame(await root.big(), {
    bytes: new Uint8Array([0, 255]),
    none: null,
    text: 'é€😀<&>',
    list: [1, 2.5, true, []]
  })
  t.ok((await rejectionOf(root.missing())) instanceof XmlRpcFault)
  t.match(await rejectionOf(root.missing()), { code: 1, message: /method "missing" is not supported/ })
  t.match(await rejectionOf(root.add(1, 'a' as never)), { code: 1, message: /TypeError/ })
  t.match(await rejectionOf(root.echo([() => 1])), {
    message: 'args[0][0] is a reference, and XML-RPC has none; pass plain data'
  })
  const sums = Array.from({ length: 100 }, (_, i) => root.add(i, 1))
  t.strictSame(
    await Promise.all(sums),
    Array.from({ length: 100 }, (_, i) => i + 1)
  )
  t.strictSame(await Netref.keys(root), ['add', 'big', 'echo', 'kind', 'later', 'maths', 'system'])
  t.strictSame(await Netref.describe(root.maths), [
    { name: 'half', kind: 'function', help: 'Halves a number.' }
  ])
  t.strictSame((await Netref.describe(root))[0], { name: 'add', kind: 'function', help: 'Adds two values.' })
  await assertClean(t, conn.session)
})
