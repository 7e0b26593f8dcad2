// The transports of a process over one connection to NATS. One subscription receives the messages of all of them.
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { NetrefError } from '../../../errors.js'
import { clock } from '../../../util/clock.js'
import type { BusConnection } from '../bus-connection.js'
import { createId, processOf } from '../subjects.js'
import { ProcessWindow } from './credit.js'
import { DialTurns } from './dial-turns.js'
import { Presence, type Publisher, type WatchedTransport } from './presence.js'
import { allocateMessage, Kind } from './wire.js'

const LOST = allocateMessage(Kind.lost, 0, 0)
/** Least `max_payload` of NATS: an answer to a dial with the longest metadata fits in. */
const LEAST_MAX_PAYLOAD_BYTES = 32 << 10
/** Most peers that are told of lost transports after a disconnection. */
const MAX_LOST_PEERS = 100_000

/** A transport, as the table knows it. */
export interface RoutedTransport extends WatchedTransport {
  /** Last part of the subject of this end. */
  readonly token: string
  /** Subject of the other end; undefined until it is known. */
  readonly to: string | undefined
  /** The user closes the bus. */
  onBusClosing(): void
  /** Handles a message to the subject of this end. */
  onMessage(message: Msg): void
}

export class TransportTable implements Publisher {
  readonly processWindow = new ProcessWindow()
  readonly dialTurns = new DialTurns()
  readonly presence: Presence
  readonly #transports = new Map<string, RoutedTransport>()
  readonly #subject: string
  #subscription: Subscription | undefined
  /** Resolves with the refusal when NATS knows that this process subscribes. */
  #subscribing: Promise<string | undefined> | undefined
  /** Subjects of the peers whose transports were lost with the connection. */
  #lostPeers: string[] = []
  #reconnectedAt = Number.NEGATIVE_INFINITY

  constructor(
    readonly connection: BusConnection,
    /** First part of the subjects that this process subscribes to. */
    inboxPrefix: string
  ) {
    this.#subject = `${inboxPrefix}.netref.${createId()}`
    this.presence = new Presence(this)
    connection.events.on('disconnected', () => this.#onDisconnected())
    connection.events.on('reconnected', () => this.#onReconnected())
    connection.events.on('closing', () => {
      for (const transport of [...this.#transports.values()]) transport.onBusClosing()
    })
    connection.events.on('closed', () => {
      for (const transport of [...this.#transports.values()])
        transport.onLost('the connection to NATS was closed')
      this.#subscription?.unsubscribe()
    })
  }

  /**
   * The connection, once this process receives the messages of its transports.
   *
   * @throws NetrefError `unauthorized` if NATS does not allow it, `limit` if its messages are too small, and `closed`
   */
  async open(): Promise<NatsConnection> {
    const connection = await this.connection.open()
    // Until NATS is reached it is unknown.
    const { maxPayloadBytes } = this
    if (maxPayloadBytes > 0 && maxPayloadBytes < LEAST_MAX_PAYLOAD_BYTES)
      throw new NetrefError(
        'limit',
        `NATS takes messages of up to ${maxPayloadBytes} bytes; set its max_payload to ${LEAST_MAX_PAYLOAD_BYTES} or more`
      )
    this.#subscribing ??= this.#subscribe(connection)
    const refusal = await this.#subscribing
    if (refusal) throw new NetrefError('unauthorized', refusal)
    // It may have been closed meanwhile.
    return this.connection.open()
  }

  /** @returns why NATS refuses it */
  async #subscribe(connection: NatsConnection): Promise<string | undefined> {
    let refusal: string | undefined
    this.#subscription = connection.subscribe(`${this.#subject}.*`, {
      callback: (error, message) => {
        if (error) refusal = error.message
        else this.#dispatch(message)
      }
    })
    await this.connection.flush()
    return refusal
  }

  get maxPayloadBytes(): number {
    return this.connection.maxPayloadBytes
  }

  /** Time since NATS was reached again, in ms. */
  get msSinceReconnect(): number {
    return clock.now() - this.#reconnectedAt
  }

  subjectOf(token: string): string {
    return `${this.#subject}.${token}`
  }

  add(transport: RoutedTransport): void {
    this.#transports.set(transport.token, transport)
    this.processWindow.add()
  }

  remove(transport: RoutedTransport): void {
    if (this.#transports.delete(transport.token)) this.processWindow.remove()
  }

  /** Publishes a message. `reply` is the subject that is told if nobody listens. Without a connection it is lost. */
  publish(subject: string, data: Uint8Array | string, reply?: string): void {
    try {
      this.connection.connected?.publish(subject, data, reply === undefined ? undefined : { reply })
    } catch (error) {
      this.connection.report(error)
    }
  }

  /** Must not throw: that would end the reader of the connection. */
  #dispatch(message: Msg): void {
    try {
      this.#route(message)
      /* c8 ignore next 3: a session does not throw, whatever its peer sends. */
    } catch (error) {
      this.connection.report(error)
    }
  }

  #route(message: Msg): void {
    const { subject, reply } = message
    const token = subject.slice(this.#subject.length + 1)
    const transport = this.#transports.get(token)
    if (transport) return transport.onMessage(message)
    if (this.presence.onMessage(token)) return
    // The other end does not know yet that this end is gone.
    if (reply && message.data[0] !== Kind.lost && processOf(reply) !== undefined) this.publishLost(reply)
  }

  #onDisconnected(): void {
    for (const { to } of this.#transports.values()) {
      if (to !== undefined && this.#lostPeers.length < MAX_LOST_PEERS) this.#lostPeers.push(to)
    }
    for (const transport of [...this.#transports.values()])
      if (transport.to !== undefined) transport.onLost('the connection to NATS was lost')
  }

  /** The transports of a peer, which may not have noticed, are told that their other ends are lost. */
  #onReconnected(): void {
    this.#reconnectedAt = clock.now()
    for (const subject of this.#lostPeers.splice(0)) this.publishLost(subject)
  }

  /** Tells the other end of a transport that this end does not have it. */
  publishLost(subject: string): void {
    this.publish(subject, LOST)
  }
}
