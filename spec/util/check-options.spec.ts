import type { RequestOptions } from 'node:https'
import type { ConnectionOptions } from 'node:tls'
import t from 'tap'
import type { ClientOptions } from 'ws'
import { CONNECT_OPTIONS } from '../../lib/client/options.js'
import {
  type ConnectOptions,
  connect,
  expose,
  exposed,
  MemoryIdempotencyStore,
  Netref,
  pair,
  serve
} from '../../lib/index.js'
import { HTTP_LISTENER_OPTIONS } from '../../lib/server/options.js'
import { SERVING_OPTIONS } from '../../lib/session/options.js'
import { checkOptions } from '../../lib/util/check-options.js'
import { rejectionOf } from '../support/helpers.js'

const service = { add: (a: number, b: number) => a + b }
const URL = 'ws://127.0.0.1:1'

/** Options that cannot be meant, and what is said of them. */
const COMMON: [option: object, said: string][] = [
  [{ allowSetAttrs: 'no' }, '`allowSetAttrs` takes a boolean, not "no"'],
  [{ exposeStacks: 1 }, '`exposeStacks` takes a boolean, not 1'],
  [{ exposedPrefix: null }, '`exposedPrefix` takes a string, not null'],
  [{ onError: 5 }, '`onError` takes a function, not 5'],
  [{ before: 5 }, '`before` takes a function, not 5'],
  [{ trace: 5 }, '`trace` takes a function, not 5'],
  [{ limits: 5 }, '`limits` takes an object, not 5'],
  [{ limits: [] }, '`limits` takes an object, not […]'],
  [{ allowPublicAttr: true }, 'there is no option `allowPublicAttr`: did you mean `allowPublicAttrs`?']
]
const SERVE: typeof COMMON = [
  ...COMMON,
  [{ authentikate: () => false }, 'there is no option `authentikate`: did you mean `authenticate`?'],
  [{ authenticate: null }, '`authenticate` takes a function, not null'],
  [{ authenticate: false }, '`authenticate` takes a function, not false'],
  [{ sameIdentity: 1 }, '`sameIdentity` takes a function, not 1'],
  [{ allowedOrigins: 'http://x' }, '`allowedOrigins` takes a list, such as ["http://x"]'],
  [{ allowedHosts: 'localhost' }, '`allowedHosts` takes a list, such as ["localhost"]'],
  [{ idempotencyStore: null }, '`idempotencyStore` takes an object, not null'],
  [{ trustProxy: 'yes' }, '`trustProxy` takes a boolean, not "yes"'],
  [{ colour: 'red' }, 'there is no option `colour`'],
  [{ hostname: 'x' }, 'there is no option `hostname`: did you mean `host`?'],
  [{ prot: 1 }, 'there is no option `prot`: did you mean `port`?']
]
const CONNECT: typeof COMMON = [
  ...COMMON,
  [{ reconnect: { signal: 5 } }, '`reconnect`: `signal` takes an AbortSignal, not 5'],
  [{ reconnect: { dealy: 5 } }, '`reconnect`: there is no option `dealy`: did you mean `delay`?'],
  [{ reconnect: true }, '`reconnect` takes options: an object, not true'],
  [{ token: 5 }, '`token` takes a string or a function, not 5'],
  [{ renew: 'no' }, '`renew` takes a boolean, not "no"'],
  [{ hartbeat: 5 }, 'there is no option `hartbeat`: did you mean `heartbeat`?'],
  [{ Token: 'x' }, 'there is no option `Token`: did you mean `token`?'],
  [{ header: {} }, 'there is no option `header`: did you mean `headers`?'],
  [{ tokne: 'x' }, 'there is no option `tokne`: did you mean `token`?']
]

t.test('an unknown or invalid option throws and is named', async t => {
  for (const [options, said] of SERVE) {
    const error = await rejectionOf(serve(service, { port: 0, ...options }))
    t.match(error, { name: 'TypeError', message: `serve: ${said}` })
  }
  for (const [options, said] of CONNECT)
    t.throws(() => connect(URL, options), { name: 'TypeError', message: `connect: ${said}` })
  for (const [options, said] of COMMON) {
    t.throws(() => pair(service, options), { name: 'TypeError', message: `pair: ${said}` })
    const serving = { ...options }
    t.throws(() => pair(service, { serving }), { name: 'TypeError', message: `pair: \`serving\`: ${said}` })
  }
})

t.test('every error about options and services begins with the call', async t => {
  const serving: [service: unknown, options: object, message: RegExp][] = [
    [5, {}, /^serve: a service must be/],
    [class {}, {}, /^serve: the class does not extend Service/],
    [service, { limits: { dpth: 1 } }, /^serve: limits\.dpth: there is no such limit: did you mean `depth`/],
    [service, { limits: { depth: -1 } }, /^serve: limits\.depth: -1 is not/],
    [service, { limits: { jsonBytes: 1 } }, /^serve: limits\.jsonBytes: 1 is less than/],
    [service, { exposedPrefix: '' }, /^serve: exposedPrefix: an empty prefix/],
    [service, { heartbeat: -1 }, /^serve: heartbeat: -1 is not a time/],
    [service, { resumeWindow: -1 }, /^serve: resumeWindow: -1 is not a time/],
    [service, { port: undefined, endpoint: {} }, /^serve: \{…\} is not an endpoint/]
  ]
  for (const [source, options, message] of serving)
    t.match(await rejectionOf(serve(source as object, { port: 0, ...options })), { message })
  const connecting: [options: ConnectOptions, message: RegExp][] = [
    [{ service: 5 as never }, /^connect: a service must be/],
    [{ limits: { depth: -1 } }, /^connect: limits\.depth: /],
    [{ heartbeat: -1 }, /^connect: heartbeat: /],
    [{ handshakeTimeout: -1 }, /^connect: handshakeTimeout: /],
    [{ reconnect: { delay: -1 } }, /^connect: reconnect\.delay: /]
  ]
  for (const [options, message] of connecting) t.throws(() => connect(URL, options), { message })
  t.throws(() => connect({} as never), { message: /^connect: \{…\} is not an endpoint/ })
  t.throws(() => pair(5 as never), { message: /^pair: a service must be/ })
  t.throws(() => pair(service, { serving: { exposedPrefix: '' } }), {
    message: /^pair: `serving`: exposedPrefix: /
  })
})

t.test('each option of serve, connect and pair that is undefined counts as not given', async t => {
  const undefinedOf = (names: readonly string[]) => Object.fromEntries(names.map(name => [name, undefined]))
  const serving = undefinedOf(Object.keys({ ...HTTP_LISTENER_OPTIONS, endpoint: '' }))
  await using server = await serve(service, { ...serving, port: 0 })
  t.equal(server.port, Number(server.url.split(':').at(-1)))
  await using conn = connect<typeof service>(server.url, undefinedOf(Object.keys(CONNECT_OPTIONS)))
  t.equal(await conn.root.add(1, 2), 3)
  const options = { ...undefinedOf(Object.keys(SERVING_OPTIONS)), service: undefined, identity: undefined }
  await using joined = pair<typeof service>(service, {
    ...options,
    serving: options,
    idempotencyStore: undefined
  } as never)
  t.equal(await joined.root.add(1, 2), 3)
})

t.test('an idempotency store must have get and set', async t => {
  t.match(await rejectionOf(serve(service, { port: 0, idempotencyStore: {} as MemoryIdempotencyStore })), {
    name: 'TypeError',
    message: 'serve: idempotencyStore: a store must have `get` and `set`; use `new MemoryIdempotencyStore()`'
  })
})

t.test('an unknown event, and a listener that is not a function, throw at once', async t => {
  await using server = await serve(service, { port: 0 })
  await using conn = connect(server.url)
  await conn.session.ping()
  const [session] = server.sessions
  const claims: [told: { on(name: never, listener: never): unknown }, name: unknown, said: string][] = [
    [conn, 'close', 'on: there is no event "close": did you mean "closed"?'],
    [conn, 'session', 'on: there is no event "session"'],
    [server, 'sesion', 'on: there is no event "sesion": did you mean "session"?'],
    [session!, 'renewed', 'on: there is no event "renewed"'],
    [session!, Symbol('closed'), 'on: there is no event Symbol(closed)']
  ]
  for (const [told, name, message] of claims)
    t.throws(() => told.on(name as never, (() => {}) as never), { name: 'TypeError', message })
  for (const told of [conn, server, session!] as (typeof claims)[0][0][])
    t.throws(() => told.on('closed' as never, undefined as never), {
      name: 'TypeError',
      message: 'on: the listener must be a function, not undefined'
    })
  for (const name of ['interrupted', 'resumed', 'renewed', 'closed'] as const) conn.on(name, () => {})()
})

t.test('server.close accepts a time to drain and nothing else', async t => {
  await using server = await serve(service, { port: 0 })
  const close = (options: unknown) => () => server.close(options as object)
  t.throws(close({ drian: 5 }), {
    message: 'server.close: there is no option `drian`: did you mean `drain`?'
  })
  t.throws(close(5), { message: 'server.close takes options: an object, not 5' })
  t.throws(close({ drain: -1 }), { message: /^server.close: drain: -1 is not a time/ })
  await server.close({ drain: undefined })
  t.throws(close({ drian: 5 }), { message: /drian/ }, 'open or closed')
})

t.test('options that are not an object', async t => {
  for (const none of [null, 5, 'x', []]) {
    const message = / takes options: an object, not (null|5|"x"|\[…\])$/
    t.match((await rejectionOf(serve(service, none as never))).message, message)
    t.throws(() => connect(URL, none as never), message)
    t.throws(() => connect(new MessageChannel().port1, none as never), message)
    t.throws(() => pair(service, none as never), message)
  }
})

t.test('an option that is undefined counts as omitted', async t => {
  const options = {
    authenticate: undefined,
    before: undefined,
    nothing: undefined,
    idempotencyStore: undefined
  }
  await using server = await serve(service, { port: 0, ...options })
  await using conn = connect<typeof service>(server.url, { reconnect: undefined, token: undefined })
  t.equal(await conn.root.add(1, 2), 3)
  await using both = pair(service, {
    serving: { idempotencyStore: new MemoryIdempotencyStore(), before() {} }
  })
  t.equal(await both.root.add(1, 2), 3)
})

t.test('a server with `server` does not listen elsewhere', async t => {
  for (const name of ['host', 'port', 'backlog']) {
    const error = await rejectionOf(serve(service, { server: {}, [name]: name === 'host' ? 'x' : 1 }))
    t.match(error, { name: 'TypeError', message: `serve: \`${name}\` cannot be combined with \`server\`` })
  }
})

t.test('Netref.with', async t => {
  await using conn = pair(service)
  const { add } = conn.root
  t.throws(() => Netref.with(add, { timout: 1 } as object), {
    name: 'TypeError',
    message: 'Netref.with: there is no option `timout`: did you mean `timeout`?'
  })
  t.throws(() => (Netref.with as (netref: unknown) => void)(add), {
    name: 'TypeError',
    message: 'Netref.with takes options: an object, not undefined'
  })
})

t.test('expose and @exposed: a misspelled rule throws', async t => {
  t.throws(() => expose({ secret: 1 }, { reed: [] } as object), {
    name: 'TypeError',
    message: 'expose: there is no option `reed`: did you mean `read`?'
  })
  t.throws(() => exposed({ iff: () => false } as object), {
    name: 'TypeError',
    message: '@exposed: there is no option `iff`: did you mean `if`?'
  })
  t.throws(() => exposed({ if: false } as never), { message: '@exposed: `if` takes a function, not false' })
})

type PassedOn = keyof Omit<ClientOptions & RequestOptions & ConnectionOptions, keyof ConnectOptions>
/** What `connect` passes on besides what it names itself: all that there is, by their types. */
const PASSED_ON: Record<PassedOn, true> = {
  protocol: true,
  path: true,
  host: true,
  hostname: true,
  port: true,
  signal: true,
  session: true,
  method: true,
  socket: true,
  enableTrace: true,
  localAddress: true,
  localPort: true,
  lookup: true,
  perMessageDeflate: true,
  family: true,
  hints: true,
  maxPayload: true,
  followRedirects: true,
  generateMask: true,
  maxRedirects: true,
  protocolVersion: true,
  checkServerIdentity: true,
  allowSynchronousEvents: true,
  autoPong: true,
  maxBufferedChunks: true,
  maxFragments: true,
  skipUTF8Validation: true,
  createConnection: true,
  finishRequest: true,
  ALPNCallback: true,
  allowPartialTrustChain: true,
  sigalgs: true,
  ciphers: true,
  clientCertEngine: true,
  crl: true,
  dhparam: true,
  ecdhCurve: true,
  honorCipherOrder: true,
  privateKeyEngine: true,
  privateKeyIdentifier: true,
  maxVersion: true,
  minVersion: true,
  pfx: true,
  secureOptions: true,
  secureProtocol: true,
  sessionIdContext: true,
  ticketKeys: true,
  sessionTimeout: true,
  requestCert: true,
  _defaultAgent: true,
  auth: true,
  defaultPort: true,
  insecureHTTPParser: true,
  maxHeaderSize: true,
  setHost: true,
  socketPath: true,
  uniqueHeaders: true,
  joinDuplicateHeaders: true,
  minDHSize: true,
  pskCallback: true,
  secureContext: true,
  ALPNProtocols: true,
  SNICallback: true
}

t.test('options of ws, TLS and HTTP are passed on, even if similar to an option of netref', async t => {
  await using server = await serve(service, { port: 0 })
  await using conn = connect<typeof service>(server.url, { followRedirects: true, foo: 1 } as ConnectOptions)
  t.equal(await conn.root.add(1, 2), 3)
  for (const name of Object.keys(PASSED_ON))
    t.doesNotThrow(() => checkOptions('connect', { [name]: 1 }, CONNECT_OPTIONS, true), name)
})
