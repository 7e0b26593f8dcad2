// Starts a server with the gateway for Go's net/rpc, and calls it as a Go client does.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { declareTypes } from '../../lib/gateways/go-rpc/declared-types.js'
import { StructType } from '../../lib/gateways/go-rpc/gob/composite-types.js'
import { GobEncoder } from '../../lib/gateways/go-rpc/gob/encoder.js'
import type { GobType } from '../../lib/gateways/go-rpc/gob/gob-type.js'
import { REQUEST } from '../../lib/gateways/go-rpc/headers.js'
import { PairReader } from '../../lib/gateways/go-rpc/message-pairs.js'
import { SentTypes } from '../../lib/gateways/go-rpc/sent-types.js'
import { parseType } from '../../lib/gateways/go-rpc/type-expression.js'
import { type GoRpcOptions, goRpc } from '../../lib/gateways/go-rpc.js'
import { type ServeOptions, type Server, type ServiceSource, serve } from '../../lib/index.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'
import { assertClean, waitUntil } from './helpers.js'

export interface GoRpcServer {
  readonly server: Server
  readonly port: number
}

/** Serves a service by the gateway while `use` runs, then asserts that its sessions have ended and left nothing. */
export async function withGoRpc(
  t: Test,
  service: ServiceSource,
  use: (served: GoRpcServer) => Promise<void>,
  { gateway, ...options }: ServeOptions & { readonly gateway?: GoRpcOptions } = {}
): Promise<void> {
  const errors: unknown[] = []
  /* c8 ignore next: only a test that fails gets here. */
  const onError = (error: unknown) => void errors.push(error)
  await using server = await serve(service, {
    port: 0,
    host: '127.0.0.1',
    gateways: [goRpc(gateway)],
    onError,
    ...options
  })
  const port = Number(new URL(server.url).port)
  await use({ server, port })
  await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
  await assertClean(t, ...server.sessions)
  t.same(errors, [], 'nothing was reported')
}

/** A type of Go, as Go writes it. The same text is the same type, with the same number on a connection. */
export function goType(text: string): GobType {
  let type = types.get(text)
  if (!type) types.set(text, (type = parseType(text, name => RECURSIVE.get(name))))
  return type
}
const types = new Map<string, GobType>()

/** Types that have themselves as parts. */
const { types: RECURSIVE } = declareTypes(
  { types: { List: 'struct { Value int; Next *List }', Tree: 'struct { Left, Right *Tree }' } },
  'spec'
)

/** A struct without a name, as its type in Go. */
export const NOTHING = goType('struct {}')

/** An answer, and the type of its result as Go writes it. */
export interface Answer {
  readonly sequence: number
  readonly method: string
  readonly error: string
  readonly type: GobType
  readonly value: unknown
}

/** A client of net/rpc that sends what it is told. */
export class RawGoClient {
  /** In the order of their arrival. */
  readonly answers: Answer[] = []
  readonly closed: Promise<unknown>
  readonly types = new SentTypes({ types: new Map(), registered: new Map() }, DEFAULT_LIMITS)
  readonly #encoder = new GobEncoder(DEFAULT_LIMITS, (value, writer) =>
    this.types.registeredType(value, writer)
  )
  readonly #reader = new PairReader(DEFAULT_LIMITS, this.types.known)
  #sequence = 0

  private constructor(readonly socket: Socket) {
    // As Go does: a connection begins with the type of the request.
    this.#encoder.define(REQUEST)
    this.closed = new Promise(resolve => socket.once('close', resolve))
    socket.on('error', () => {})
  }

  static async connect(port: number, head?: string): Promise<RawGoClient> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    const client = new RawGoClient(socket)
    await once(socket, 'connect')
    if (head !== undefined) {
      socket.write(head)
      const [answer] = await once(socket, 'data')
      if (String(answer) !== 'HTTP/1.0 200 Connected to Go RPC\n\n') throw new Error(String(answer))
    }
    socket.on('data', chunk => client.#onData(chunk))
    return client
  }

  #onData(chunk: Buffer): void {
    for (const { header, body } of this.#reader.read(chunk)) {
      if (body instanceof Error) throw body
      const { Seq, ServiceMethod: method, Error: error } = header
      this.answers.push({ sequence: Number(Seq), method, error, ...body })
    }
  }

  /** The bytes of a call. */
  encode(method: string, type: GobType, value: unknown): Buffer {
    const body = this.#encoder.encode(type, value, 'value')
    const header = this.#encoder.encode(REQUEST, { ServiceMethod: method, Seq: this.#sequence++ }, 'request')
    return Buffer.concat([...this.#encoder.takeDefinitions(), header, body])
  }

  /** Sends a call. @returns its number */
  send(method: string, type: GobType | string, value: unknown): number {
    this.socket.write(this.encode(method, typeof type === 'string' ? goType(type) : type, value))
    return this.#sequence - 1
  }

  /** Waits for the answer to a call. */
  async answer(sequence: number): Promise<Answer> {
    const find = () => this.answers.find(answer => answer.sequence === sequence)
    await waitUntil(() => find() !== undefined || this.socket.destroyed, `the answer ${sequence}`)
    const answer = find()
    if (!answer) throw new Error('the connection is closed')
    return answer
  }

  call(method: string, type: GobType | string, value: unknown): Promise<Answer> {
    return this.answer(this.send(method, type, value))
  }

  /** Calls a method. @returns the type and the result, or the error */
  async result(method: string, type: GobType | string, value: unknown): Promise<unknown> {
    const { error, type: resultType, value: result } = await this.call(method, type, value)
    return error === '' ? [nameOf(resultType), result] : error
  }

  /** Closes this side, and waits for the end of the connection. */
  async end(): Promise<void> {
    this.socket.end()
    await this.closed
  }
}

/** A type as Go writes it, from its parts: received types without a name do not have that. */
export function nameOf(type: GobType): string {
  const { resolved } = type
  if (resolved instanceof StructType) return resolved.name
  const [first, second] = resolved.parts.map(nameOf)
  if (resolved.name.startsWith('map')) return `map[${first}]${second}`
  if (resolved.name.startsWith('[]') && first) return `[]${first}`
  return resolved.name
}
