// Starts a server with the Pyro gateway, and talks to it as a client of Pyro4 or Pyro5 that sends bytes as they are.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { pyro } from '../../lib/gateways/pyro.js'
import { type ServeOptions, type Server, type ServiceSource, type Session, serve } from '../../lib/index.js'
import type { GatewayOptions } from '../../lib/server/gateway.js'
import { assertClean, waitUntil } from './helpers.js'

export interface PyroServer {
  readonly server: Server
  readonly port: number
}

/** Serves a service by the gateway while `use` runs, then asserts that its sessions have ended and left nothing. */
export async function withPyro(
  t: Test,
  service: ServiceSource,
  use: (served: PyroServer) => Promise<void>,
  { gateway, ...options }: ServeOptions & { readonly gateway?: GatewayOptions } = {}
): Promise<void> {
  const errors: unknown[] = []
  /* c8 ignore next: only a test that fails gets here. */
  const onError = (error: unknown) => void errors.push(error)
  await using server = await serve(service, {
    port: 0,
    host: '127.0.0.1',
    gateways: [pyro(gateway)],
    onError,
    ...options
  })
  await use({ server, port: server.gatewayPorts.pyro ?? server.port })
  await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
  t.same(errors, [], 'nothing was reported')
}

export const VERSIONS = [4, 5] as const
export type Version = (typeof VERSIONS)[number]

/** A message of either version. */
export interface RawMessage {
  readonly type: number
  readonly flags: number
  readonly seq: number
  readonly serializer: number
  readonly annotations: Readonly<Record<string, string>>
  /** 32 hexadecimal digits in Pyro5. */
  readonly correlation: string
  readonly text: string
}

export interface Fields {
  readonly type?: number
  readonly flags?: number
  readonly seq?: number
  readonly serializer?: number
  readonly annotations?: Readonly<Record<string, Uint8Array>>
  readonly correlation?: string
  readonly data?: string | Uint8Array
  /** In the place of the right checksum or end of a header. */
  readonly check?: number
  /** In the place of the length of the data. */
  readonly dataBytes?: number
}

export const Type = { connect: 1, ok: 2, fail: 3, invoke: 4, result: 5, ping: 6 } as const
export const SERPENT = '# serpent utf-8 python3.2\n'

/** Formats a message as Pyro's clients do. */
export function pyroMessage(version: Version, fields: Fields): Buffer {
  const {
    type = Type.invoke,
    flags = 0,
    seq = 0,
    serializer = 1,
    annotations = {},
    correlation = ''
  } = fields
  const data = Buffer.from((fields.data ?? '') as string)
  const chunks = Object.entries(annotations).map(([name, value]) => {
    const head = Buffer.alloc(version === 4 ? 6 : 8)
    head.write(name)
    if (version === 4) head.writeUInt16BE(value.length, 4)
    else head.writeUInt32BE(value.length, 4)
    return Buffer.concat([head, value])
  })
  const chunk = Buffer.concat(chunks)
  const { dataBytes = data.length } = fields
  const header = Buffer.alloc(version === 4 ? 24 : 40)
  header.write('PYRO')
  if (version === 4) {
    const numbers = [48, type, flags, seq, dataBytes >>> 16, dataBytes & 0xffff, serializer, chunk.length, 0]
    for (const [i, number] of numbers.entries()) header.writeUInt16BE(number, 4 + 2 * i)
    const sum = type + 48 + dataBytes + serializer + chunk.length + flags + seq + 0x34e9
    header.writeUInt16BE(fields.check ?? sum & 0xffff, 22)
  } else {
    header.writeUInt16BE(502, 4)
    header[6] = type
    header[7] = serializer
    header.writeUInt16BE(flags, 8)
    header.writeUInt16BE(seq, 10)
    header.writeUInt32BE(dataBytes, 12)
    header.writeUInt32BE(chunk.length, 16)
    header.write(correlation, 20, 'hex')
    header.writeUInt16BE(fields.check ?? 0x4dc5, 38)
  }
  return Buffer.concat([header, chunk, data])
}

function parseMessages(version: Version, bytes: Buffer): RawMessage[] {
  const messages: RawMessage[] = []
  const [headerBytes, nameBytes] = version === 4 ? [24, 6] : [40, 8]
  for (let start = 0; start < bytes.length; ) {
    const at = bytes.subarray(start)
    if (at.length < headerBytes) break
    if (at.toString('latin1', 0, 4) !== 'PYRO') throw new Error(`no message: ${at.toString('hex', 0, 40)}`)
    const is4 = version === 4
    const dataBytes = at.readUInt32BE(12)
    const chunkBytes = is4 ? at.readUInt16BE(18) : at.readUInt32BE(16)
    const end = headerBytes + chunkBytes + dataBytes
    if (at.length < end) break
    const [type, flags, seq] = [is4 ? at.readUInt16BE(6) : at[6]!, at.readUInt16BE(8), at.readUInt16BE(10)]
    const serializer = is4 ? at.readUInt16BE(16) : at[7]!
    if (is4) {
      const sum = type + 48 + dataBytes + serializer + chunkBytes + flags + seq + 0x34e9
      if (at.readUInt16BE(22) !== (sum & 0xffff)) throw new Error('a wrong checksum')
    } else if (at.readUInt16BE(38) !== 0x4dc5) throw new Error('a wrong end of a header')
    const annotations: Record<string, string> = {}
    for (let i = headerBytes; i < headerBytes + chunkBytes; ) {
      const length = is4 ? at.readUInt16BE(i + 4) : at.readUInt32BE(i + 4)
      annotations[at.toString('latin1', i, i + 4)] = at.toString(
        'utf8',
        i + nameBytes,
        i + nameBytes + length
      )
      i += nameBytes + length
    }
    const correlation = is4 ? '' : at.toString('hex', 20, 36)
    const text = at.toString('utf8', headerBytes + chunkBytes, end)
    messages.push({ ...{ type, flags, seq, serializer, annotations, correlation, text } })
    start += end
  }
  return messages
}

/** A client that sends bytes as they are. */
export class RawPyro {
  readonly closed: Promise<unknown>
  #received: Buffer[] = []
  #seq = 0

  private constructor(
    readonly socket: Socket,
    readonly version: Version
  ) {
    socket.on('error', () => {}).on('data', (chunk: Buffer) => void this.#received.push(chunk))
    this.closed = new Promise(resolve => socket.once('close', resolve))
  }

  /** Opens a connection without a handshake. */
  static async dial(port: number, version: Version): Promise<RawPyro> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new RawPyro(socket.setNoDelay(true), version)
  }

  /** Opens a connection, and shakes hands. */
  static async connect(port: number, version: Version, objectId = 'tutorial'): Promise<RawPyro> {
    const client = await RawPyro.dial(port, version)
    const [answer] = await client.shakeHands(`{'handshake':'hello','object':'${objectId}'}`)
    if (answer?.type !== Type.ok) throw new Error(`refused: ${answer?.text}`)
    return client
  }

  async shakeHands(literal: string, fields: Fields = {}): Promise<RawMessage[]> {
    const flags = this.version === 4 ? 16 : 0
    await this.send({ type: Type.connect, flags, data: SERPENT + literal, ...fields })
    return this.messages(1)
  }

  /** All messages so far. */
  get received(): RawMessage[] {
    const bytes = Buffer.concat(this.#received)
    this.#received = [bytes]
    return parseMessages(this.version, bytes)
  }

  /** Waits for a number of messages in all, or for the end of the connection. */
  async messages(count: number): Promise<RawMessage[]> {
    await waitUntil(() => this.received.length >= count || this.socket.destroyed, `${count} messages`)
    return this.received
  }

  /** Sends a message or bytes, and waits until they have left. */
  send(message: Fields | Uint8Array): Promise<void> {
    const bytes = message instanceof Uint8Array ? message : pyroMessage(this.version, message)
    return new Promise(resolve => this.socket.write(bytes, () => resolve()))
  }

  /** Sends a request whose data is this literal. @returns the reply */
  async request(literal: string, fields: Fields = {}): Promise<RawMessage> {
    const seq = ++this.#seq
    const data = fields.serializer === undefined || fields.serializer === 1 ? SERPENT + literal : literal
    await this.send({ seq, data, ...fields })
    const isReply = (message: RawMessage) =>
      message.seq === (fields.seq ?? seq) && (message.type === Type.result || message.type === Type.ping)
    await waitUntil(() => this.received.some(isReply) || this.socket.destroyed, `a reply to ${literal}`)
    const reply = this.received.find(isReply)
    if (!reply) throw new Error(`no reply to ${literal}`)
    return reply
  }

  /** Calls a method. `args` and `kwargs` are literals. @returns the literal of the result or the exception */
  async call(method: string, args = '()', kwargs = '{}', objectId = 'tutorial'): Promise<string> {
    const { text } = await this.request(`('${objectId}','${method}',${args},${kwargs})`)
    return text.replace(SERPENT, '')
  }

  /** Closes this side, and waits for the end of the connection. */
  async end(): Promise<void> {
    this.socket.end()
    await this.closed
  }

  /** Asserts that nothing is left in the sessions, then ends. */
  async endClean(t: Test, { server }: PyroServer): Promise<void> {
    await assertClean(t, ...(server.sessions as Iterable<Session>))
    await this.end()
  }
}
