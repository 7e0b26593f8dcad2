/* c8 ignore start: this is a tool of specs: each of them uses a part of it. */
// A hand-written end of a transport over NATS, as a client or an instance: it sends arbitrary messages.
import type { NatsConnection, Subscription } from '@nats-io/transport-node'
import { HEADER_BYTES, Kind, MAX_WINDOW_BYTES } from '../../lib/adapters/nats/sessions/wire.js'
import { createId, createToken, processOf, serviceSubject } from '../../lib/adapters/nats/subjects.js'
import { Op } from '../../lib/protocol/messages.js'
import { waitUntil } from './helpers.js'
import { hello } from './raw-peer.js'

/** A message that the raw end got. */
export interface RawMessage {
  readonly kind: number
  readonly number: number
  readonly body: Buffer
}

export const rawMessage = (kind: number, number: number, body: Uint8Array | string = ''): Buffer => {
  const bytes = Buffer.from(body as Uint8Array)
  const message = Buffer.alloc(HEADER_BYTES + bytes.length)
  message[0] = kind
  message.writeUInt32BE(number >>> 0, 1)
  bytes.copy(message, HEADER_BYTES)
  return message
}

/** A subject that a process of netref might have. */
export const someSubject = (prefix = '_INBOX') => `${prefix}.netref.${createId()}.${createToken()}`

export class RawNatsPeer {
  readonly subject: string
  /** Subject of the other end. */
  to = ''
  readonly messages: RawMessage[] = []
  sent = 0
  readonly #subscription: Subscription

  constructor(
    readonly connection: NatsConnection,
    prefix?: string
  ) {
    this.subject = someSubject(prefix)
    // To the probes of its process, too.
    this.#subscription = connection.subscribe(`${processOf(this.subject)}.*`, {
      callback: (_, { subject, data, headers }) => {
        if (subject !== this.subject) return
        if (data.length === 0)
          return void this.messages.push({ kind: headers?.code ?? -1, number: 0, body: Buffer.alloc(0) })
        const message = Buffer.from(data)
        this.messages.push({
          kind: message[0]!,
          number: message.readUInt32BE(1),
          body: message.subarray(HEADER_BYTES)
        })
      }
    })
  }

  /** Dials a service as a client does, and waits for the answer. */
  static async dial(
    connection: NatsConnection,
    name: string,
    window = MAX_WINDOW_BYTES
  ): Promise<RawNatsPeer> {
    const peer = new RawNatsPeer(connection)
    connection.publish(serviceSubject(name), JSON.stringify({ window }), { reply: peer.subject })
    await peer.whenGot(Kind.hello)
    peer.to = JSON.parse(peer.got(Kind.hello)!.body.toString()).to
    return peer
  }

  /** The first message of a kind. */
  got(kind: number): RawMessage | undefined {
    return this.messages.find(message => message.kind === kind)
  }

  whenGot(kind: number): Promise<void> {
    return waitUntil(() => this.got(kind) !== undefined, `a message of kind ${kind}`)
  }

  /** Sends a message with the next number, or with another. */
  send(kind: number, body?: Uint8Array | string, number = this.sent++): void {
    this.sendRaw(rawMessage(kind, number, body))
  }

  sendRaw(message: Uint8Array, to = this.to): void {
    this.connection.publish(to, message, { reply: this.subject })
  }

  /** Begins a session by a first frame with a hello and a call, and waits for the reply: `call-1`. */
  async begin(): Promise<void> {
    this.send(Kind.text, JSON.stringify([0, [hello(), [Op.call, 1, 0, 'echo', ['call-1']]]]))
    await this.whenGotText('call-1')
  }

  /** Calls `echo`, without any acknowledgement. */
  call(id: number, value: string): void {
    this.send(Kind.text, JSON.stringify([0, [[Op.call, id, 0, 'echo', [value]]]]))
  }

  whenGotText(text: string): Promise<void> {
    return waitUntil(() => this.messages.some(({ body }) => body.includes(text)), `a message with ${text}`)
  }

  /** Why the other end ended the transport: the text of its bye, or `lost`. */
  async whenEnded(): Promise<string> {
    await waitUntil(
      () => this.got(Kind.bye) !== undefined || this.got(Kind.lost) !== undefined,
      'bye or lost'
    )
    return this.got(Kind.bye)?.body.toString() ?? 'lost'
  }

  end(): void {
    this.#subscription.unsubscribe()
  }
}
