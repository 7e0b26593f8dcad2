// What a peer says is printed as one would print it: nothing of it acts on a terminal, or makes lines in a log.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { inspect, stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { run } from '../../lib/cli/cli.js'
import { CallRejection, ProtocolError } from '../../lib/errors.js'
import { connect, exposed, Netref, pair, Service, type StandardSchema, serve } from '../../lib/index.js'
import { formatCall, formatJsonPath, formatNames, formatPath } from '../../lib/protocol/format.js'
import { Op } from '../../lib/protocol/messages.js'
import { parseCloseReason } from '../../lib/transport/close-reason.js'
import { toPrintable, toPrintableLines } from '../../lib/util/printable.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { hello, RawPeer } from '../support/raw-peer.js'
import type { Untyped } from '../support/wire.js'

const ESC = '\u001b'
/** Clears the screen, in two ways; ends lines, in five; turns the text around; is half a character; rings. */
const EVIL = `${ESC}[2J\u009b2J\n\r\u0085\u2028\u2029\u202e\u2066\u200f\ufeff\ud800x\udc00\u007f\u0007\u0000\u{e0041}end`
/** As much of it as an HTTP header may hold. */
const EVIL_LATIN = '\u009b2J\u0085'

const ACTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

/** Asserts that a text is told, and that nothing of it acts. */
function tame(t: Test, text: unknown, what: string, most = 6500): void {
  t.type(text, 'string', what)
  t.ok(String(text).length <= most, `${what}: ${String(text).length} characters`)
  t.notOk(ACTS.test(text as string), `${what}: ${JSON.stringify(text).slice(0, 300)}`)
}

t.test('text of any kind', t => {
  const unicode = fc.string({ unit: fc.nat(0xffff).map(unit => String.fromCharCode(unit)) })
  fc.assert(fc.property(unicode, text => !ACTS.test(toPrintable(text))))
  fc.assert(fc.property(unicode, text => !ACTS.test(toPrintableLines(text).replaceAll('\n', ''))))
  fc.assert(
    fc.property(unicode, text => {
      const json = JSON.stringify({ [text]: text })
      return Object.is(JSON.parse(toPrintable(json, Number.POSITIVE_INFINITY))[text], text)
    })
  )
  t.equal(toPrintable('plain “text”, with Ünïcödé 日本 🦊'), 'plain “text”, with Ünïcödé 日本 🦊')
  t.equal(toPrintable('a\tb\r\n\u0000'), 'a\\tb\\r\\n\\u0000')
  t.equal(toPrintable('🦊'.repeat(9), 9), '🦊🦊…', 'no character is cut in two')
  t.equal(toPrintable('x'.repeat(5000)).length, 997)
  t.equal(toPrintableLines(`a\n${ESC}b`), 'a\n\\u001bb')
  t.end()
})

t.test('labels, of a bounded length', t => {
  const long = Array(100_000).fill(EVIL.repeat(9))
  const symbol = ['for', EVIL] as const
  for (const label of [
    formatPath(EVIL),
    formatPath([EVIL, symbol, 'x']),
    formatPath(long),
    formatNames(long),
    formatNames([Symbol(EVIL)]),
    formatJsonPath('args', [0, EVIL, ...long.slice(0, 200)]),
    formatCall(Op.call, 'root', [EVIL, { [EVIL]: 1 }, Symbol(EVIL), 4]),
    formatCall(Op.set, 'root.x', EVIL),
    new CallRejection('released', EVIL.repeat(1000)).message,
    new ProtocolError(EVIL.repeat(1000)).message
  ])
    tame(t, label, 'a label')
  t.equal(formatPath(Array(13).fill('a')), '.a.a.a.a.a.a….a.a.a.a.a.a')
  t.equal(formatPath(Array(12).fill('a')), '.a.a.a.a.a.a.a.a.a.a.a.a')
  t.end()
})

/** A schema that says what it is given. */
const quoting: StandardSchema<unknown[]> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: value => ({ issues: [{ message: `what is ${(value as unknown[])[0]}?`, path: [0, EVIL] }] })
  }
}

class Evil extends Service {
  @exposed fail(text: string) {
    throw Object.assign(new Error(text), { name: text })
  }
  @exposed odd() {
    return Object.defineProperty(() => 1, 'name', { value: EVIL })
  }
  @exposed later() {
    return new Promise(() => {})
  }
  @exposed(quoting) checked(..._args: unknown[]) {}
}

t.test('errors, calls and netrefs with text of a peer', async t => {
  const events: string[] = []
  const traced: string[] = []
  const serving = {
    before: (call: object) => void events.push(String(call)),
    onError: (error: unknown, { call }: { call?: string | undefined }) =>
      void events.push(String(error), call!)
  }
  await using conn = pair(Evil, { serving, trace: (_, line) => traced.push(line) })
  const root = conn.root as Untyped
  for (const call of [
    root[EVIL].x(EVIL),
    (Netref.get(root, Symbol.for(EVIL)) as Untyped)(1),
    root.fail[EVIL],
    Netref.set(root, EVIL, EVIL),
    root.checked(EVIL),
    root.odd()[EVIL]()
  ]) {
    const { message, stack } = await rejectionOf(call)
    tame(t, message, 'the error of a call')
    tame(t, stack?.replaceAll('\n', ''), 'its stack')
  }
  const odd = await root.odd()
  tame(t, String(odd), 'a netref')
  tame(t, inspect(odd), 'a netref that is looked at')
  tame(t, (await rejectionOf(Netref.set(odd, 'x', Symbol(EVIL)))).message, 'a symbol that cannot be sent')
  Netref.release(odd)
  tame(t, (await rejectionOf(odd.x())).message, 'a netref that is released')
  const error = await rejectionOf(root.fail(EVIL))
  t.equal(error.message, EVIL, 'the message of an error is data')
  tame(t, inspect(error).replaceAll('\n', ''), 'as it is printed', 10_000)
  await Netref.oneway(root[EVIL])(EVIL)
  await Netref.oneway(root.checked)(EVIL)
  await conn.ping()
  t.ok(events.length > 8)
  for (const text of events) tame(t, text, 'what the server is told')
  t.ok(traced.length > 8)
  for (const line of traced) tame(t, line, 'a line of the trace')

  await assertClean(t, conn.session, conn.served)
})

t.test('text of a hostile server', async t => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const url = `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`
  for (const message of [
    [Op.refused, 1, 'not-exposed', EVIL.repeat(999)],
    [Op.result, 1, 1, [[EVIL.repeat(999), []]]],
    [Op.result, 1, 1, [[['custom', EVIL], []]]],
    [Op.result, 1, [7, EVIL], [['f', []]]],
    [Op.error, 1, { class: EVIL, name: EVIL, message: EVIL, stack: EVIL }, [['e', []]]]
  ]) {
    sockets.once('connection', socket =>
      socket.once('message', () => socket.send(JSON.stringify([1, [hello(), message]])))
    )
    const conn = connect<Evil>(url, { reconnect: false })
    const came = await (conn.root as Untyped).later().then(String, (error: unknown) => error)
    const { message: text = came, stack = '' } = Object(came)
    if (message[0] !== Op.error) tame(t, text, 'what it says')
    tame(t, stack.replaceAll('\n', ''), 'and where')
    void conn.close()
    tame(t, (await conn.closed).message, 'why it ended')
  }
  sockets.close()
})

t.test('close and refusal reasons of a server', async t => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const url = `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`
  for (const text of [`${ESC}[2J\u202e\n`, `closed: ${ESC}[2J\u202e\n`, `limit: \u009b\u2028`]) {
    sockets.once('connection', socket => socket.once('message', () => socket.close(4000, text)))
    const conn = connect(url, { reconnect: false })
    const call = rejectionOf((conn.root as Untyped).x())
    tame(t, (await conn.closed).message, 'the reason')
    tame(t, (await call).message, 'the error')
  }
  sockets.close()
  t.match(parseCloseReason(`closed: ${EVIL}`, 'it'), { code: 'closed' })

  const web = createServer()
  web.on('upgrade', (_, socket) =>
    socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${EVIL}`)
  )
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const conn = connect(`ws://127.0.0.1:${(web.address() as AddressInfo).port}`)
  const { message, cause } = (await conn.closed) as Untyped
  tame(t, message, 'the reason')
  tame(t, cause.message, 'its cause')
  web.close()
})

t.test('refused clients', async t => {
  const events: string[] = []
  const server = await serve(Evil, { port: 0, onError: error => events.push(String(error)) })
  for (const headers of [{ Origin: `http://${EVIL_LATIN}` }, { Host: EVIL_LATIN.repeat(99) }]) {
    const { message } = await rejectionOf(RawPeer.open(server.url, { headers: headers as Untyped }))
    const [, body] = Buffer.from(message, 'latin1').toString().split('\r\n\r\n')
    tame(t, body!.trim(), 'what it is told')
  }
  const nameless = await RawPeer.dial(server.url)
  nameless.write('GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  const [answer] = await once(nameless.socket, 'data')
  t.match(String(answer), /Host "" is not in allowedHosts/, 'a client without a host name')
  await nameless.end()
  t.equal(events.length, 3)
  for (const text of events) tame(t, text, 'what the server is told')
  await server.close()
})

t.test('errors that are printed to the console', async t => {
  const printed: unknown[][] = []
  t.capture(console, 'error', (...args: unknown[]) => void printed.push(args))
  const conn = pair(Evil)
  const root = conn.root as Untyped
  await Netref.oneway(root.fail)(EVIL)
  await Netref.oneway(root.checked)('x'.repeat(100_000))
  await Netref.oneway(root[EVIL])(EVIL)
  void root.fail(EVIL)
  await waitUntil(() => printed.length >= 4)
  await assertClean(t, conn.session, conn.served)
  await conn.close()
  for (const failure of [new Error(EVIL), Object.create(null), EVIL]) {
    const onError = () => {
      throw failure
    }
    const conn = pair(Evil, { serving: { onError } })
    await Netref.oneway((conn.root as Untyped).nothing)(1)
    await conn.ping()
    t.match(printed.at(-1), [/^netref: onError itself failed: /])
    await assertClean(t, conn.session, conn.served)
    await conn.close()
  }
  for (const args of printed) {
    t.equal(args.length, 1)
    tame(t, args[0], 'a line')
  }
})

t.test('the command line', async t => {
  class Told extends Service {
    static override help = { text: EVIL }
    @exposed text() {
      return { [EVIL]: EVIL }
    }
    @exposed fail() {
      throw Object.assign(new Error(EVIL), { name: EVIL })
    }
    @exposed get [EVIL]() {
      return 1
    }
  }
  const server = await serve(Told, { port: 0, onError() {} })
  const netref = async (...[tty, argv, input]: [boolean, string[], string?]) => {
    let said = ''
    const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
    for (const stream of Object.values(streams))
      Object.assign(stream, { isTTY: tty && stream !== streams.stdin })
    for (const stream of [streams.stdout, streams.stderr])
      stream.setEncoding('utf8').on('data', text => {
        said += text
      })
    streams.stdin.end(input)
    const { signal } = new AbortController()
    await run(argv, { ...streams, env: {}, signal, program: [] }, '1.2.3')
    return said
  }
  for (const tty of [false, true])
    for (const argv of [
      ['ls', server.url],
      ['call', server.url, 'text'],
      ['call', server.url, 'fail'],
      ['call', server.url, 'nothing']
    ]) {
      const said = await netref(tty, argv)
      t.ok(said.length > 20, said)
      tame(t, stripVTControlCharacters(said).replaceAll('\n', ''), argv.join(' '))
    }
  t.same(JSON.parse(await netref(false, ['call', server.url, 'text'])), { [EVIL]: EVIL })
  const input = 'await root.text()\nawait root.fail()\nnew Map([[1, "\\u202e"]])\n.exit\n'
  const said = await netref(false, ['repl', server.url], input)
  t.ok(said.includes('end'), said)
  tame(t, said.replaceAll('\n', ''), 'the repl', 20_000)
  await server.close()
})
