// Hostile clients of XML-RPC: whatever they send, they get a fault or a refusal, and nothing else happens.
//
// NETREF_FUZZ is the number of mutated documents, NETREF_FUZZ_SEED the seed.
import { deepStrictEqual } from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import sax from 'sax'
import t, { type Test } from 'tap'
import { invalidCharacterIn } from '../../../lib/gateways/xml-rpc/characters.js'
import type { XmlRpcDocument } from '../../../lib/gateways/xml-rpc/grammar.js'
import { MalformedXmlError } from '../../../lib/gateways/xml-rpc/malformed.js'
import { parseDocument, readDocument } from '../../../lib/gateways/xml-rpc/reader.js'
import { xmlRpc } from '../../../lib/gateways/xml-rpc.js'
import { type ServeOptions, Service, type Session, serve } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { FuzzService, prototypes, unchanged } from '../../support/fixtures/fuzz-service.js'
import { assertClean, waitUntil } from '../../support/helpers.js'
import { callXml, type Fault, outcomeOf, postXml, readXml } from '../../support/xml-rpc.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 3_000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
/** Share of the documents that are posted to a server; the others are only read. */
const POSTED_SHARE = 0.2

t.setTimeout(60_000 + COUNT * 5)
t.comment(`NETREF_FUZZ=${COUNT} NETREF_FUZZ_SEED=${SEED}`)
const before = prototypes()
const faults: unknown[] = []
process.on('unhandledRejection', fault => faults.push(fault))

class Adder extends Service {
  exposed_add(x: number, y: number) {
    return x + y
  }
}

/** Runs `use` with a server, then asserts that it still serves, and that nothing is left of its clients. */
async function attacked(
  t: Test,
  use: (url: string, port: number) => Promise<void>,
  options: ServeOptions = {}
): Promise<void> {
  const errors: unknown[] = []
  await using server = await serve(Adder, {
    port: 0,
    onError: error => errors.push(error),
    ...options,
    gateways: [xmlRpc()]
  })
  const sessions: Session[] = []
  server.on('session', session => sessions.push(session))
  const url = server.url.replace('ws:', 'http:')
  await use(url, Number(new URL(url).port))
  t.equal(await outcomeOf(url, callXml('add', 1, 2)), 3, 'it still serves')
  await waitUntil(() => server.sessions.size === 0)
  await assertClean(t, ...sessions)
  t.same(errors, [], 'nothing is reported')
}

const HEAD = 'POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n'

/** Sends texts, one a turn. @returns all that came back until the connection closed */
async function exchange(port: number, ...texts: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answered = ''
  socket.setEncoding('utf8').on('data', text => {
    answered += text
  })
  for (const text of texts) {
    socket.write(text)
    await new Promise(setImmediate)
  }
  await once(socket, 'close')
  return answered
}

t.test('a request that is cut off reaches no method', t =>
  attacked(t, async (_, port) => {
    const xml = callXml('add', 1, 2)
    for (const length of [0, 1, 20, xml.length - 1]) {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      socket.end(`${HEAD}Content-Length: ${xml.length}\r\n\r\n${xml.slice(0, length)}`)
      socket.resume()
      await once(socket, 'close')
    }
  })
)

t.test('a slow sender is refused when it stops sending', t =>
  attacked(
    t,
    async (_, port) => {
      const answered = await exchange(port, `${HEAD}Content-Length: 1000\r\n\r\n`, '<methodCall>', ' ')
      t.match(answered, /^HTTP\/1\.1 408 /)
    },
    { limits: { helloMs: 100 } }
  )
)

t.test('a long request is refused, whether or not it says its length', t =>
  attacked(
    t,
    async (_, port) => {
      t.match(await exchange(port, `${HEAD}Content-Length: 70000\r\n\r\n`), /^HTTP\/1\.1 413 /)
      const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`
      const chunks = Array<string>(5).fill(chunk)
      t.match(
        await exchange(port, `${HEAD}Transfer-Encoding: chunked\r\n\r\n`, ...chunks),
        /^HTTP\/1\.1 413 /
      )
    },
    { limits: { jsonBytes: 65_536 } }
  )
)

t.test('the session ends with a client that does not wait', t =>
  attacked(t, async (_, port) => {
    const xml = callXml('add', 1, 2)
    for (let i = 0; i < 20; i++) {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      socket.write(`${HEAD}Content-Length: ${xml.length}\r\n\r\n${xml}`, () => socket.resetAndDestroy())
      await once(socket, 'close')
    }
  })
)

const inValue = (xml: string) =>
  `<methodCall><methodName>add</methodName><params><param><value>${xml}</value></param></params></methodCall>`

t.test('entities, depth and giant names are faults', t =>
  attacked(t, async url => {
    const entities = Array.from(
      { length: 10 },
      (_, i) => `<!ENTITY e${i + 1} "&e${i};&e${i};&e${i};&e${i};">`
    )
    const bomb = `<!DOCTYPE m [<!ENTITY e0 "ha">${entities.join('')}]>${inValue('&e10;')}`
    const deep = inValue('<array><data><value>'.repeat(100_000))
    const attacks = [
      bomb,
      deep,
      `<!DOCTYPE m SYSTEM "file:///etc/passwd">${inValue('1')}`,
      inValue(`<${'n'.repeat(1 << 20)}/>`),
      inValue(`<int ${'a="" '.repeat(200_000)}>x</int>`),
      inValue(`<i8>${'9'.repeat(1 << 20)}</i8>`),
      inValue(`<double>${'9'.repeat(1 << 20)}</double>`),
      inValue(`<dateTime.iso8601>${'0'.repeat(1 << 20)}</dateTime.iso8601>`),
      inValue(`<base64>${' '.repeat(1 << 20)}*</base64>`),
      `<!--${'-'.repeat(1 << 20)}`,
      inValue('&'.repeat(1 << 20))
    ]
    for (const xml of attacks) {
      const start = performance.now()
      t.match(await outcomeOf(url, xml), { faultCode: -32700 }, xml.slice(0, 100))
      t.ok(performance.now() - start < 5000, 'in time that is proportional to its length')
    }
    const name = `a${'.a'.repeat(1 << 20)}`
    t.match(await outcomeOf(url, callXml(name)), { faultCode: -32601 })
    t.match(await outcomeOf(url, callXml('a'.repeat(1 << 20))), { faultCode: -32601 })
    const many = `<methodCall><methodName>add</methodName><params>${'<param><value/></param>'.repeat(150_000)}</params></methodCall>`
    const outcome = await outcomeOf(url, many)
    t.ok(outcome === '' || (outcome as Fault).faultCode === 1, 'as many arguments as fit')
  })
)

t.test('wrong content types are refused', t =>
  attacked(t, async url => {
    const xml = callXml('add', 1, 2)
    for (const type of [
      'text/plain',
      'multipart/form-data',
      'application/x-www-form-urlencoded',
      'text/html'
    ])
      t.equal((await postXml(url, xml, { 'content-type': type })).status, 415)
    t.equal((await postXml(url, xml, { 'content-encoding': 'gzip' })).status, 415)
  })
)

/** What documents are made of, and some that they are not. */
const TOKENS = [
  ...['methodCall', 'methodName', 'params', 'param', 'value', 'array', 'data', 'struct', 'member', 'name'],
  ...['int', 'i8', 'double', 'boolean', 'string', 'base64', 'dateTime.iso8601', 'nil', 'ex:nil', 'fault']
].flatMap(name => [`<${name}>`, `</${name}>`, `<${name}/>`])
const ODDITIES = [
  '<!DOCTYPE a>',
  '<![CDATA[',
  ']]>',
  '<!--',
  '-->',
  '<?',
  '?>',
  '&amp;',
  '&#0;',
  '&constructor;',
  '&#x10ffff;',
  '__proto__',
  'constructor',
  'system.multicall',
  'system.listMethods',
  '99999999999999999999',
  '1e999',
  'NaN',
  '\0',
  '\ud800',
  '\r'
]
const METHODS = ['keep', 'same', 'fail', 'text', 'list', 'system.methodHelp', 'system.multicall', 'a.b', '']
const params = fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 3 })
const document = fc.tuple(fc.constantFrom(...METHODS), params).map(([method, params]) => {
  try {
    return callXml(method, ...params)
  } catch {
    return callXml(method)
  }
})
/** Replaces some characters at a place by others. */
const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.oneof(fc.constant(0), fc.nat(10), fc.nat(200)),
  insert: fc.oneof(
    fc.constantFrom(...TOKENS),
    fc.constantFrom(...ODDITIES),
    fc.string({ unit: 'binary', maxLength: 5 }),
    fc.constant('')
  )
})
const mutated = fc
  .tuple(document, fc.array(mutation, { minLength: 1, maxLength: 4 }))
  .map(([xml, mutations]) =>
    mutations.reduce((text, { at, remove, insert }) => {
      const start = Math.floor(at * text.length)
      return text.slice(0, start) + insert + text.slice(start + remove)
    }, xml)
  )

t.test('a mutated document is read as sax reads it, or is malformed', async t => {
  let accepted = 0
  const outcome = async (document: Promise<XmlRpcDocument>) => {
    try {
      return await document
    } catch (error) {
      if (!(error instanceof MalformedXmlError)) throw error
      return undefined
    }
  }
  const property = fc.asyncProperty(mutated, async xml => {
    const document = await outcome(readDocument(sax, xml, DEFAULT_LIMITS))
    if (document) accepted++
    // What is scanned without sax has no such character, and one kind of line end.
    const normalized = xml.replace(/\r\n?/g, '\n')
    if (invalidCharacterIn(xml) === undefined)
      deepStrictEqual(document, await outcome(parseDocument(sax, normalized, DEFAULT_LIMITS)))
  })
  await t.resolves(fc.assert(property, { numRuns: Math.ceil(COUNT * (1 - POSTED_SHARE)), seed: SEED }))
  t.ok(accepted > 0, `${accepted} were read`)
  t.ok(unchanged(before), 'no prototype has changed')
})

t.test('a server answers each of them, and survives them', async t => {
  await using server = await serve(FuzzService, { port: 0, gateways: [xmlRpc()], onError: () => {} })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const post = (xml: string) =>
    new Promise<string>((resolve, reject) => {
      const headers = { 'content-type': 'text/xml' }
      const sent = request(server.url.replace('ws:', 'http:'), { method: 'POST', agent, headers })
      sent.on('error', reject).on('response', async response => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk)
        resolve(`${response.statusCode} ${Buffer.concat(chunks)}`)
      })
      sent.end(xml)
    })
  const property = fc.asyncProperty(mutated, async xml => {
    const answer = await post(xml)
    if (!answer.startsWith('200 ')) throw new Error(answer)
    const { kind } = await readXml(answer.slice(4))
    if (kind === 'call') throw new Error(answer)
  })
  await t.resolves(fc.assert(property, { numRuns: Math.ceil(COUNT * POSTED_SHARE), seed: SEED }))
  await waitUntil(() => server.sessions.size === 0)
  t.ok(unchanged(before), 'no prototype has changed')
  t.same(faults, [], 'no rejection is unhandled')
})
