// Runs the test vectors of the protocol both ways, and every example of PROTOCOL.md, some of them against a real server.
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { runInThisContext } from 'node:vm'
import t from 'tap'
import { WebSocket } from 'ws'
import { decode } from '../../lib/codec/decode.js'
import { encodeValue } from '../../lib/codec/encode.js'
import type { ReferenceDecoder, ReferenceEncoder } from '../../lib/codec/types.js'
import { VALUE } from '../../lib/codec/value-role.js'
import { CallRejection, ProtocolError, type Reason } from '../../lib/errors.js'
import { Netref, registerType, Service, serve } from '../../lib/index.js'
import { formatAck, formatFrame, formatResume, parseFrame, parseResume } from '../../lib/protocol/frame.js'
import * as messages from '../../lib/protocol/messages.js'
import { type Annotations, Op, operationOf } from '../../lib/protocol/messages.js'
import { parseMessage } from '../../lib/protocol/parse-message.js'
import { formatCloseReason, parseCloseReason } from '../../lib/transport/close-reason.js'
import { assertClean } from '../support/helpers.js'

interface ValueVector {
  readonly text: string
  readonly bytes?: readonly string[]
}
interface FrameVector {
  readonly text?: string
  readonly hex?: string
}
interface Invalid {
  readonly code: string
  readonly why: string
  readonly limits?: Readonly<Record<string, number>>
}
interface Vectors {
  /** `canonical` is false for a text that is another one when it is encoded. */
  readonly values: readonly (ValueVector & { readonly js: string; readonly canonical?: boolean })[]
  readonly messages: readonly { readonly name: string; readonly text: string; readonly args: unknown[] }[]
  readonly frames: readonly (FrameVector & {
    readonly ack: number
    readonly messages?: readonly string[]
    readonly bytes?: readonly (readonly [number, readonly string[]])[]
    readonly probe?: boolean
  })[]
  readonly resumption: readonly {
    readonly type: 'resume' | 'resumed'
    readonly token: string
    readonly ack: number
    readonly text: string
  }[]
  readonly reasons: readonly (Reason & { readonly text: string })[]
  readonly invalid: {
    readonly frames: readonly (FrameVector & Invalid)[]
    readonly messages: readonly { readonly text: string; readonly why: string }[]
    readonly values: readonly (ValueVector & Invalid)[]
    readonly reasons: readonly string[]
  }
}

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const vectors: Vectors = JSON.parse(read('vectors.json'))
const PAGE = read('../PROTOCOL.md')
const LIMITS = { jsonBytes: 4 << 20, frameBytes: 16 << 20, depth: 200, values: 10_000 }

class Point {
  constructor(
    readonly x: number,
    readonly y: number
  ) {}
}
registerType(Point, {
  name: 'spec/Point',
  encode: ({ x, y }) => ({ x, y }),
  decode: ({ x, y }: Point) => new Point(x, y)
})
Object.assign(globalThis, { Point })
t.teardown(() => {
  Reflect.deleteProperty(globalThis, 'Point')
})

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))

/** References stay what they are in the JSON. */
const decoder = (limits: Readonly<Record<string, number>> = {}): ReferenceDecoder => ({
  decodeReference(_tag, data) {
    const [id] = Array.isArray(data) ? data : [data]
    if (!(Number.isSafeInteger(id) && id >= 0)) throw new ProtocolError('a reference without an id')
    return { reference: data }
  },
  discardReference() {},
  discardReceived() {},
  valuesDecoded() {},
  limits: { values: 10_000, bigintDigits: 10_000, regExpLength: 100, ...limits }
})
const encoder = {
  encodeLimits: { ...LIMITS, exposeStacks: false },
  isReleased: () => false
} as unknown as ReferenceEncoder

/** Decodes a value and its annotations, checked as those of a result. */
function decodeText({ text, bytes = [] }: ValueVector, limits?: Readonly<Record<string, number>>): unknown {
  const message = parseMessage(JSON.parse(`[${Op.result},1,${text}]`), limits?.values)
  return decode(message[2], message[3] as Annotations | undefined, bytes.map(fromHex), decoder(limits))
}

/** Node 20 finds two invalid dates different. */
const isSame = (one: unknown, other: unknown) =>
  isDeepStrictEqual(one, other) || (String(one) === 'Invalid Date' && String(other) === 'Invalid Date')

t.test('values', async t => {
  for (const vector of vectors.values) {
    const value = runInThisContext(`(${vector.js})`)
    t.ok(isSame(decodeText(vector), value), `decoded: ${vector.text}`)
    if (vector.canonical === false) continue
    const { json, bytes } = encodeValue(value, VALUE, encoder)
    t.equal(json, vector.text, `encoded: ${vector.text}`)
    t.strictSame(
      bytes.map(range => Buffer.from(range).toString('hex')),
      vector.bytes ?? []
    )
  }
})

const FORMATTERS: Readonly<Record<string, (...args: never[]) => string>> = {
  hello: messages.formatHello,
  operation: messages.formatOperation,
  traced: messages.formatTraced,
  retry: messages.formatRetry,
  idempotent: messages.formatIdempotent,
  ping: messages.formatPing,
  reply: messages.formatReply,
  refused: messages.formatRejection,
  release: messages.formatRelease,
  cancel: messages.formatCancel,
  leaving: messages.formatLeaving,
  pull: messages.formatPull,
  items: messages.formatItems,
  ended: messages.formatEnded
}

t.test('messages', async t => {
  for (const { name, text, args } of vectors.messages) {
    const formatted = FORMATTERS[name]!(...(args as never[]))
    t.strictSame(JSON.parse(formatted), JSON.parse(text), `formatted: ${text}`)
    t.equal(formatted, text)
    t.strictSame(parseMessage(JSON.parse(text)), JSON.parse(text), `parsed: ${text}`)
  }
})

const dataOf = ({ text, hex }: FrameVector): string | Uint8Array => text ?? fromHex(hex!)

t.test('frames', async t => {
  for (const vector of vectors.frames) {
    const { ack, messages: sent, bytes = [], probe = false } = vector
    const ranges = new Map(bytes.map(([index, all]) => [index, all.map(fromHex)]))
    const formatted = sent ? formatFrame(ack, sent, ranges) : formatAck(ack, probe)
    t.strictSame(
      typeof formatted === 'string' ? formatted : Buffer.from(formatted).toString('hex'),
      vector.text ?? vector.hex
    )
    const frame = parseFrame(dataOf(vector), LIMITS)
    t.strictSame(
      [frame.ack, frame.isAckOnly, frame.requestsAck, frame.messages],
      [ack, !sent, probe, (sent ?? []).map(message => JSON.parse(message))]
    )
    for (const [index, all] of ranges)
      t.strictSame(frame.bytes.get(index)!.map(Buffer.from), all.map(Buffer.from))
  }
  for (const { type, token, ack, text } of vectors.resumption) {
    t.equal(formatResume(type, { token, ack }), text)
    t.strictSame(parseResume(type, text), { token, ack })
  }
})

t.test('close reasons', async t => {
  for (const { text, ...reason } of vectors.reasons) {
    t.equal(formatCloseReason(reason), text)
    const parsed = parseCloseReason(text, 'the peer')!
    t.match(
      { code: parsed.code, retryAfter: parsed.retryAfter },
      { code: reason.code, retryAfter: reason.retryAfter }
    )
    t.ok(parsed.message.endsWith(reason.message))
  }
  for (const text of vectors.invalid.reasons) {
    const parsed = parseCloseReason(text, 'the peer')
    t.notOk(parsed && parsed.code !== 'closed', `no reason: ${text}`)
  }
})

/** The code of what an action throws. */
function codeOf(act: () => unknown): string {
  try {
    return `nothing, but ${JSON.stringify(act())}`
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof CallRejection) return error.code
    throw error
  }
}

t.test('what is invalid is rejected with its code', async t => {
  for (const { code, why, limits, ...frame } of vectors.invalid.frames)
    t.equal(
      codeOf(() => parseFrame(dataOf(frame), { ...LIMITS, ...limits })),
      code,
      why
    )
  for (const { text, why } of vectors.invalid.messages)
    t.equal(
      codeOf(() => parseMessage(JSON.parse(text))),
      'protocol',
      why
    )
  for (const { code, why, limits, ...value } of vectors.invalid.values)
    t.equal(
      codeOf(() => decodeText(value, limits)),
      code,
      why
    )
})

/** The lines of all code blocks of PROTOCOL.md with that info string, block by block. */
const blocks = (info: string): string[][] =>
  [...PAGE.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === info)
    .map(([, , text]) => text!.trimEnd().split('\n'))

t.test('the examples of PROTOCOL.md', async t => {
  const kinds = new Set([...PAGE.matchAll(/^```(\w.*)$/gm)].map(([, info]) => info))
  t.strictSame(
    kinds,
    new Set([
      'json frames',
      'hex frames',
      'json messages',
      'json values',
      'text resume',
      'text reasons',
      'text session'
    ])
  )
  for (const line of blocks('json frames').flat()) t.ok(parseFrame(line, LIMITS), line)
  for (const line of blocks('hex frames').flat()) {
    const frame = parseFrame(fromHex(line), LIMITS)
    const [, , json, annotations] = parseMessage(frame.messages[0])
    t.strictSame(
      decode(json, annotations as Annotations, frame.bytes.get(0)!, decoder()),
      new Uint8Array([1, 2, 3])
    )
  }
  for (const line of blocks('json messages').flat()) t.ok(parseMessage(JSON.parse(line)), line)
  for (const line of blocks('json values').flat()) t.doesNotThrow(() => decodeText({ text: line }), line)
  for (const line of blocks('text resume').flat())
    t.ok(parseResume('resume', line) ?? parseResume('resumed', line), line)
  for (const line of blocks('text reasons').flat()) t.ok(parseCloseReason(line, 'the peer'), line)
})

t.test('PROTOCOL.md has an example of every message, and a row for each', async t => {
  const examples = [
    ...blocks('json messages')
      .flat()
      .map(line => JSON.parse(line)[0])
  ]
  for (const [name, code] of Object.entries(Op)) {
    t.ok(examples.includes(code), `an example of ${name}`)
    t.ok(PAGE.includes(`\n| ${code} | ${name} | \`[${code},`), `a row for ${name}`)
    if (operationOf(code) !== undefined) t.match(PAGE, new RegExp(`^\\|.*\\b${name}\\b.*\\|`, 'm'))
  }
})

class Example extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
  async exposed_greet(shout: Netref<(text: string) => string>) {
    const shouted = await shout('hello')
    Netref.release(shout)
    return shouted
  }
  exposed_fail() {
    throw Object.assign(new RangeError('too far'), { code: 'far' })
  }
}

/** The next counted frame of a socket, or the answer to a resume frame. */
const nextFrame = (socket: WebSocket) =>
  new Promise<string>((resolve, reject) => {
    const take = (data: Buffer) => {
      const text = String(data)
      if (/^\[\d+(,1)?\]$/.test(text)) return
      socket.off('message', take)
      resolve(text)
    }
    socket.on('message', take)
    socket.once('close', (code, reason) => reject(new Error(`closed: ${code} ${reason}`)))
  })

t.test('the sessions of PROTOCOL.md take place at a real server', async t => {
  const server = await serve(Example, { port: 0 })
  const sessions: Parameters<typeof assertClean>[1][] = []
  server.on('session', session => sessions.push(session))
  let token = ''
  let socket: WebSocket | undefined
  for (const block of blocks('text session')) {
    socket?.terminate()
    socket = new WebSocket(server.url)
    await new Promise(opened => socket!.once('open', opened))
    for (let i = 0; i < block.length; i += 2) {
      t.match(block.slice(i, i + 2), [/^C /, /^S /])
      const answer = nextFrame(socket)
      socket.send(block[i]!.slice(2).replace('TOKEN', token))
      const found = await answer
      token = found.match(/"(1\.[\w-]+)"/)?.[1] ?? token
      const anonymous = found
        .replace(token, 'TOKEN')
        .replace(/(?<="not-exposed",)"(?:[^"\\]|\\.)*"/, '"TEXT"')
      t.equal(anonymous, block[i + 1]!.slice(2))
    }
  }
  socket!.close(1000, 'closed: done')
  t.equal(sessions.length, 1)
  t.match(await sessions[0]!.closed, { code: 'closed' })
  await assertClean(t, ...sessions)
  await server.close()
})
