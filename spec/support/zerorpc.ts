// Starts a server with the ZeroRPC gateway, and talks to it by a DEALER of ZeroMQ and by bytes.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { decode, encode } from '@msgpack/msgpack'
import type { Test } from 'tap'
import { Dealer } from 'zeromq'
import { FrameReader } from '../../lib/gateways/zerorpc/frame-reader.js'
import { formatCommand, formatMessage, GREETING_BYTES } from '../../lib/gateways/zerorpc/zmtp.js'
import { type ZeroRpcOptions, zeroRpc } from '../../lib/gateways/zerorpc.js'
import { type ServeOptions, type Server, type ServiceSource, serve } from '../../lib/index.js'
import { assertClean, waitUntil } from './helpers.js'
import type { Untyped } from './wire.js'

export interface ZeroRpcServer {
  readonly server: Server
  readonly port: number
}

/** Serves a service by the gateway while `use` runs, then asserts that its sessions have ended and left nothing. */
export async function withZeroRpc(
  t: Test,
  service: ServiceSource,
  use: (served: ZeroRpcServer) => Promise<void>,
  { gateway, ...options }: ServeOptions & { readonly gateway?: ZeroRpcOptions } = {}
): Promise<void> {
  const errors: unknown[] = []
  await using server = await serve(service, {
    port: 0,
    host: '127.0.0.1',
    gateways: [zeroRpc(gateway)],
    /* c8 ignore next: only a test that fails gets here. */
    onError: error => void errors.push(error),
    ...options
  })
  const seen = new Set(server.sessions)
  server.on('session', session => void seen.add(session))
  try {
    await use({ server, port: server.gatewayPorts.zerorpc ?? server.port })
  } finally {
    for (const client of clients) client.close()
  }
  await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
  await assertClean(t, ...seen)
  t.same(errors, [], 'nothing was reported')
}

/** An event that arrived. */
export interface ClientEvent {
  readonly header: Untyped
  readonly name: string
  readonly args: Untyped
}

/** An `ERR` event. */
export class RemoteError extends Error {
  constructor(
    override readonly name: string,
    message: string,
    readonly traceback: string | null
  ) {
    super(message)
  }
}

const idOf = (id: string | Uint8Array): string => Buffer.from(id as string).toString('latin1')

/** Events by channel, and what clients of both kinds do with them. */
abstract class ZeroRpcClient {
  /** All events so far. */
  readonly events: ClientEvent[] = []
  /** Those without heartbeats, by channel. */
  readonly #byChannel = new Map<string, ClientEvent[]>()
  #callCount = 0

  /** Sends an event. */
  abstract send(header: object, name: unknown, args: unknown): void

  protected onPayload(payload: Uint8Array): void {
    const [header, name, args] = decode(payload, { useBigInt64: true }) as [Untyped, string, Untyped]
    const event = { header, name, args }
    this.events.push(event)
    const channel = idOf(header.response_to)
    if (name !== '_zpc_hb') this.#byChannel.set(channel, [...(this.#byChannel.get(channel) ?? []), event])
  }

  /** Opens a channel. @returns its id */
  open(name: string, ...args: unknown[]): string {
    const id = `call-${++this.#callCount}`
    this.send({ message_id: id, v: 3 }, name, args)
    return id
  }

  /** Sends an event on a channel. */
  on(channel: string | Uint8Array, name: string, args: unknown): void {
    this.send({ message_id: `event-${++this.#callCount}`, v: 3, response_to: channel }, name, args)
  }

  /** The events of a channel so far, without heartbeats. */
  of(channel: string | Uint8Array): ClientEvent[] {
    return this.#byChannel.get(idOf(channel)) ?? []
  }

  /** Waits for a number of events of a channel. */
  async wait(channel: string | Uint8Array, count = 1): Promise<ClientEvent[]> {
    await waitUntil(() => this.of(channel).length >= count, `${count} events of ${channel}`)
    return this.of(channel)
  }

  /** Calls a method. @throws RemoteError */
  async call(name: string, ...args: unknown[]): Promise<Untyped> {
    const channel = this.open(name, ...args)
    const [event] = await this.wait(channel)
    if (event!.name === 'ERR')
      throw new RemoteError(...(event!.args as ConstructorParameters<typeof RemoteError>))
    return event!.args[0]
  }
}

/** Those that are open: each keeps the process alive. */
const clients = new Set<DealerClient>()

/** A client over ZeroMQ. */
export class DealerClient extends ZeroRpcClient {
  readonly dealer: Dealer
  #sent = Promise.resolve()

  constructor(port: number, options: ConstructorParameters<typeof Dealer>[0] = {}) {
    super()
    this.dealer = new Dealer({ linger: 0, sendHighWaterMark: 0, receiveHighWaterMark: 0, ...options })
    this.dealer.connect(`tcp://127.0.0.1:${port}`)
    clients.add(this)
    void this.#receive()
  }

  async #receive(): Promise<void> {
    for await (const frames of this.dealer) this.onPayload(frames.at(-1)!)
  }

  send(header: object, name: unknown, args: unknown): void {
    const frames = ['', encode([header, name, args], { useBigInt64: true, maxDepth: 1000 })]
    // ZeroMQ sends one message at a time. After the end of the client the others are dropped.
    this.#sent = this.#sent.then(() => (this.dealer.closed ? undefined : this.dealer.send(frames)))
  }

  close(): void {
    clients.delete(this)
    this.dealer.close()
  }
}

export const READY = formatCommand('READY', Buffer.from('\x0bSocket-Type\0\0\0\x06DEALER', 'latin1'))

/** The greeting of a client. */
export function greeting(mechanism = 'NULL', version = 3): Buffer {
  const bytes = Buffer.alloc(GREETING_BYTES)
  bytes.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, version])
  bytes.write(mechanism, 12)
  return bytes
}

/** A client that sends bytes as they are. */
export class ByteClient extends ZeroRpcClient {
  /** Frames before the last one, of all messages. */
  addresses: readonly Uint8Array[] = [new Uint8Array()]
  /** All commands so far. */
  readonly commands: { readonly name: string; readonly data: Buffer }[] = []
  readonly messages: (readonly Buffer[])[] = []
  readonly closed: Promise<unknown>
  readonly #reader = new FrameReader(1 << 30)

  private constructor(readonly socket: Socket) {
    super()
    this.closed = new Promise(resolve => socket.once('close', resolve))
    socket.on('error', () => {}).on('data', (chunk: Buffer) => this.#onData(chunk))
  }

  /** @param opening the greeting and the handshake, or what is sent in their place */
  static async connect(
    port: number,
    opening: Uint8Array = Buffer.concat([greeting(), READY])
  ): Promise<ByteClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const client = new ByteClient(socket.setNoDelay(true))
    await client.write(opening)
    return client
  }

  #onData(chunk: Buffer): void {
    for (const item of this.#reader.read(chunk)) {
      if ('name' in item) this.commands.push(item)
      else {
        this.messages.push(item)
        this.onPayload(item.at(-1)!)
      }
    }
  }

  send(header: object, name: unknown, args: unknown): void {
    void this.write(formatMessage([...this.addresses, encode([header, name, args], { useBigInt64: true })]))
  }

  /** Sends bytes, and waits until they have left. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise(resolve => this.socket.write(bytes, () => resolve()))
  }

  /** Sends a message whose content are these bytes. */
  payload(bytes: Uint8Array): Promise<void> {
    return this.write(formatMessage([...this.addresses, bytes]))
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }
}
