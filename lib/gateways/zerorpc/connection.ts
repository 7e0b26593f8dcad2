// Serves a client of ZeroRPC over a ZMTP connection: its events open channels, or belong to one.

import type { Duplex } from 'node:stream'
import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { clock, type Timer, unref } from '../../util/clock.js'
import { type Deadline, startDeadline } from '../../util/deadline.js'
import { PacedWriter } from '../support/paced-writer.js'
import { Channel } from './channel.js'
import { formatEvent, type MessageId, type MessagePack, parseEvent, type ReceivedEvent } from './event.js'
import { FrameReader, type Message } from './frame-reader.js'
import { ProtocolError } from './protocol-error.js'
import { type Command, checkSocketType, formatCommand, formatMessage, formatOpening } from './zmtp.js'

const HEARTBEAT_MS = 5000
/** The time to live before the context of a PING, and the maximum length of the context. */
const PING_CONTEXT = { start: 2, end: 2 + 16 } as const

/** Serves a connection until it ends. */
export async function serveConnection(
  socket: Duplex,
  client: GatewayClient,
  messagePack: MessagePack
): Promise<void> {
  const session = await client.openSession()
  const connection = new ZeroRpcConnection(socket, client, session.root, messagePack)
  session.on('closed', () => connection.finish())
  connection.start()
}

class ZeroRpcConnection {
  readonly #reader: FrameReader
  readonly #writer: PacedWriter
  /** By the addresses and the message_id of the events that opened them. */
  readonly #channels = new Map<string, Channel>()
  /** Streams that wait until the client has read what was sent. */
  #onDrained: (() => void)[] = []
  /** Runs while there are channels. */
  #heartbeatTimer: Timer | undefined
  /** For the handshake, or for the rest of a message. */
  #deadline: Deadline | undefined
  #isReady = false
  #eventCount = 0
  /** Whether the session has ended, so that the connection ends with the last channel. */
  #isFinishing = false

  constructor(
    private readonly socket: Duplex,
    private readonly client: GatewayClient,
    private readonly root: RemoteHandle<unknown>,
    private readonly messagePack: MessagePack
  ) {
    this.#reader = new FrameReader(client.limits.frameBytes)
    this.#writer = new PacedWriter(socket, client.limits)
  }

  start(): void {
    this.#writer.write(formatOpening())
    this.#startDeadline()
    this.socket
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('drain', () => this.#resumeStreams())
      .once('close', () => this.#onClose())
  }

  /** The session has ended. Ends the connection when what is owed is sent. */
  finish(): void {
    this.#isFinishing = true
    for (const channel of this.#channels.values()) channel.finish()
    if (this.#channels.size === 0) this.#writer.end()
  }

  #onClose(): void {
    this.#deadline?.stop()
    for (const channel of this.#channels.values()) channel.end()
    this.#resumeStreams()
  }

  #resumeStreams(): void {
    const waiting = this.#onDrained
    this.#onDrained = []
    for (const resume of waiting) resume()
  }

  #startDeadline(): void {
    this.#deadline = startDeadline(this.client.limits.helloMs, () => {
      // The client is not late while its bytes are not read.
      if (this.socket.isPaused()) this.#startDeadline()
      else this.socket.destroy()
    }).unref()
  }

  #onData(chunk: Buffer): void {
    try {
      for (const item of this.#reader.read(chunk)) {
        if ('name' in item) this.#onCommand(item)
        else this.#onMessage(item)
      }
    } catch {
      return void this.socket.destroy()
    }
    this.#deadline?.stop()
    if (!this.#isReady || this.#reader.isWithinMessage) this.#startDeadline()
  }

  #onCommand({ name, data }: Command): void {
    if (name === 'READY' && !this.#isReady) {
      checkSocketType(data)
      this.#isReady = true
    }
    if (name === 'PING')
      this.#writer.write(formatCommand('PONG', data.subarray(PING_CONTEXT.start, PING_CONTEXT.end)))
  }

  /** @throws ProtocolError before the client is ready */
  #onMessage(message: Message): void {
    if (!this.#isReady) throw new ProtocolError('a message before READY')
    const addresses = message.slice(0, -1)
    const event = this.#parseEvent(message.at(-1)!)
    if (!event) return
    if (event.channel !== undefined) this.#channels.get(keyOf(addresses, event.channel))?.onEvent(event)
    else this.#openChannel(event, addresses)
  }

  /** Other messages than events are ignored, as by the servers of ZeroRPC: clients behind a proxy share a connection. */
  #parseEvent(bytes: Buffer): ReceivedEvent | undefined {
    try {
      return parseEvent(this.messagePack, bytes, this.client.limits)
    } catch {
      return undefined
    }
  }

  #openChannel(event: ReceivedEvent, addresses: readonly Buffer[]): void {
    const { id } = event
    const key = keyOf(addresses, id)
    if (this.#channels.has(key)) return
    // The chunks in which they arrived are not kept.
    const ownAddresses = addresses.map(address => Buffer.from(address))
    const send = (name: string, args: unknown) => this.#send(ownAddresses, id, name, args)
    const { limits } = this.client
    if (this.#channels.size >= limits.pendingCalls) {
      const message = `${limits.pendingCalls} calls and streams are under way (limits.pendingCalls)`
      return send('ERR', ['LimitError', message, null])
    }
    const channel = new Channel({
      root: this.root,
      client: this.client,
      send,
      whenDrained: () => this.#whenDrained(),
      onEnded: () => this.#onChannelEnded(key)
    })
    this.#channels.set(key, channel)
    this.#startHeartbeats()
    void channel.serve(event)
  }

  #onChannelEnded(key: string): void {
    this.#channels.delete(key)
    if (this.#channels.size > 0) return
    clock.clearInterval(this.#heartbeatTimer)
    this.#heartbeatTimer = undefined
    if (this.#isFinishing) this.#writer.end()
  }

  #startHeartbeats(): void {
    if (this.#heartbeatTimer) return
    this.#heartbeatTimer = clock.setInterval(() => {
      const { writableNeedDrain } = this.socket
      for (const channel of this.#channels.values()) {
        if (writableNeedDrain) channel.forgiveHeartbeats()
        else channel.beat()
      }
    }, HEARTBEAT_MS)
    unref(this.#heartbeatTimer)
  }

  #whenDrained(): Promise<void> | undefined {
    if (!this.socket.writableNeedDrain) return undefined
    return new Promise(resolve => this.#onDrained.push(resolve))
  }

  #send(addresses: readonly Buffer[], channel: MessageId, name: string, args: unknown): void {
    const event = { id: String(++this.#eventCount), channel, name, args }
    const bytes = formatEvent(this.messagePack, event, this.client.limits)
    this.#writer.write(formatMessage([...addresses, bytes]))
  }
}

/** Clients behind a proxy may choose the same message_id. An id in bytes is the same as one in text. */
const keyOf = (addresses: readonly Buffer[], id: MessageId): string =>
  [...addresses, Buffer.from(id as string)].map(part => `${part.length}:${part.toString('latin1')}`).join('')
