// A service for gRPC, a server with its gateway, and a client of grpc-js for its methods.
import { fileURLToPath } from 'node:url'
import * as grpcJs from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Test } from 'tap'
import { type GrpcOptions, grpc } from '../../lib/gateways/grpc.js'
import {
  callSession,
  callSignal,
  expose,
  Netref,
  type ServeOptions,
  type Server,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { waitUntil } from './helpers.js'

export const PROTO = fileURLToPath(new URL('./fixtures/grpc/library.proto', import.meta.url))
const LOADED = loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true })
type Loaded = grpcJs.GrpcObject & {
  netref: { spec: { Library: grpcJs.ServiceClientConstructor; Other: grpcJs.ServiceClientConstructor } }
}
/** The definition of the service, for servers of grpc-js. */
export const LIBRARY = LOADED['netref.spec.Library'] as grpcJs.ServiceDefinition
const { Library, Other } = (grpcJs.loadPackageDefinition(LOADED) as Loaded).netref.spec

/** What happens to the calls of `Lab`, in order. */
export class Log {
  readonly events: string[] = []
  add(event: string): void {
    this.events.push(event)
  }
  waitFor(event: string): Promise<void> {
    return waitUntil(() => this.events.includes(event), event)
  }
}

export const log = new Log()

export class Lab extends Service {
  exposed_add(x: number, y: number) {
    return x + y
  }
  exposed_sum(...things: number[]) {
    return { value: things.reduce((a, b) => a + b, 0) }
  }
  exposed_greet(firstName: string, lastName = 'Unknown', punctuation = '!') {
    return `Hello ${firstName} ${lastName}${punctuation}`
  }
  exposed_echo(values: { readonly text?: string }) {
    if (values.text !== 'many') return values
    return Array.from({ length: 60 }).reduce<object>(inner => ({ inners: [inner, inner] }), {})
  }
  exposed_answer({ text }: { text: string }) {
    const answers: Record<string, unknown> = {
      number: 1,
      object: { value: 2 },
      undefined: undefined,
      null: null,
      text: 'x',
      unknown: { valu: 1 },
      reference: expose({}),
      bigint: 5n
    }
    return answers[text]
  }
  exposed_nothing(...args: unknown[]) {
    log.add(`nothing ${args.length}`)
  }
  exposed_who() {
    const { gateway, identity } = callSession()
    return `${gateway} ${JSON.stringify(identity)}`
  }
  exposed_fail({ text }: { text: string }) {
    if (text === 'timeout') throw new DOMException('too late', 'TimeoutError')
    if (text === 'abort') throw new DOMException('given up', 'AbortError')
    const code = Number(text)
    throw Object.assign(new RangeError(text), Number.isNaN(code) ? {} : { code })
  }
  async exposed_wait() {
    const signal = callSignal()
    log.add('waits')
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    log.add(`aborted ${(signal.reason as Error).name}`)
    return 'aborted'
  }
  async *exposed_count(count: number) {
    try {
      for (let n = 1; n <= count; n++) yield n
    } finally {
      log.add('count ended')
    }
  }
  exposed_iterate({ text }: { text: string }): unknown {
    switch (text) {
      case 'list':
        return ['a', { text: 'b' }]
      case 'stream':
        return new ReadableStream({
          start(controller) {
            controller.enqueue('c')
            controller.close()
          }
        })
      case 'stuck':
        return (async function* () {
          try {
            yield 'first'
            await new Promise(resolve => callSignal().addEventListener('abort', resolve))
          } finally {
            log.add('stuck ended')
          }
        })()
      case 'reference':
        return [expose({})]
      case 'broken':
        return (function* () {
          yield 'first'
          throw Object.assign(new Error('it breaks'), { code: 5 })
        })()
      default:
        return text
    }
  }
  async exposed_total(numbers: AsyncIterable<{ value: number }>) {
    let total = 0
    try {
      for await (const { value } of numbers) {
        total += value
        if (total > 100) break
      }
    } catch (error) {
      log.add(`total: ${(error as Error).name}`)
      throw error
    }
    return total
  }
  async *exposed_shout(lines: AsyncIterable<{ text: string }>) {
    for await (const { text } of lines) yield { text: text.toUpperCase() }
  }
  *exposed_chunks(count: number) {
    for (let n = 0; n < count; n++) yield new Uint8Array(65_536).fill(n)
  }
  async exposed_measure(chunks: AsyncIterable<{ data: Uint8Array }>) {
    let count = 0
    for await (const { data } of chunks) count += data.length
    return count
  }
  hidden() {
    return Netref
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the messages of grpc-js are not typed
type Message = any

/** Calls methods of the service by grpc-js. */
export class Client {
  readonly stub: InstanceType<grpcJs.ServiceClientConstructor>

  constructor(
    address: string,
    credentials = grpcJs.credentials.createInsecure(),
    options: grpcJs.ClientOptions = {},
    type = Library
  ) {
    this.stub = new type(address, credentials, options)
  }

  static other(address: string): Client {
    return new Client(address, undefined, undefined, Other)
  }

  unary(
    method: string,
    message: Message = {},
    metadata: Record<string, string> = {},
    options: grpcJs.CallOptions = {}
  ): Promise<Message> {
    return new Promise((resolve, reject) =>
      this.stub[method]!(message, metadataOf(metadata), options, (error: Error | null, reply: Message) =>
        error ? reject(error) : resolve(reply)
      )
    )
  }

  serverStream(
    method: string,
    message: Message = {},
    options: grpcJs.CallOptions = {}
  ): grpcJs.ClientReadableStream<Message> {
    return this.stub[method]!(message, options)
  }

  bidi(method: string): grpcJs.ClientDuplexStream<Message, Message> {
    return this.stub[method]!()
  }

  clientStream(method: string): { call: grpcJs.ClientWritableStream<Message>; reply: Promise<Message> } {
    let call!: grpcJs.ClientWritableStream<Message>
    const reply = new Promise((resolve, reject) => {
      call = this.stub[method]!((error: Error | null, reply: Message) =>
        error ? reject(error) : resolve(reply)
      )
    })
    reply.catch(() => {})
    return { call, reply }
  }

  close(): void {
    this.stub.close()
  }
}

export function metadataOf(entries: Record<string, string>): grpcJs.Metadata {
  const metadata = new grpcJs.Metadata()
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value)
  return metadata
}

export const library = (options: Partial<GrpcOptions> = {}) =>
  grpc(PROTO, { service: 'netref.spec.Library', ...options })

/** Runs `use` with a server and a client, then asserts that nothing is left of the sessions of the calls. */
export async function overGrpc(
  t: Test,
  use: (client: Client, server: Server, errors: unknown[]) => Promise<void>,
  { gateway = {}, ...options }: Omit<ServeOptions, 'gateways'> & { gateway?: Partial<GrpcOptions> } = {}
): Promise<void> {
  log.events.length = 0
  const errors: unknown[] = []
  const server = await serve(Lab, {
    port: 0,
    onError: error => void errors.push(error),
    ...options,
    gateways: [library(gateway)]
  })
  const sessions: Session[] = []
  server.on('session', session => void sessions.push(session))
  const client = new Client(`127.0.0.1:${server.port}`)
  try {
    await use(client, server, errors)
  } finally {
    client.close()
  }
  await waitUntil(() => server.sessions.size === 0)
  await server.close()
  const held = sessions.map(({ stats }) => stats.exports + stats.imports + stats.pending + stats.buffered)
  t.same(new Set(held), new Set(held.length > 0 ? [0] : []), 'the tables are empty, and nothing is pending')
}
