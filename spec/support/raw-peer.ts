/* c8 ignore start: this is a tool of specs: each of them uses a part of it. */
// A hand-written peer on a raw socket, as a client or a server: it sends arbitrary bytes and reads at its own pace.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  formatFrame,
  formatResume,
  parseFrame,
  parseResume,
  type ResumeFrame
} from '../../lib/protocol/frame.js'
import { Op, VERSION } from '../../lib/protocol/messages.js'
import type { WireMessage } from './wire.js'

const NO_LIMITS = { jsonBytes: 1 << 30, depth: 1 << 10, values: 1 << 30 }

/** A hello with the default limits. */
export const hello = (limits: object = {}, ...resumable: unknown[]): WireMessage => [
  Op.hello,
  VERSION,
  { jsonBytes: 4 << 20, frameBytes: 16 << 20, depth: 200, values: 10_000, ...limits },
  ...resumable
]

/** Opcodes of WebSocket frames. */
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

/** The header of a WebSocket frame. A client's mask is 0, so the payload is unchanged. */
export function headOf(kind: number, length: number, final = true, masked = true): Buffer {
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const head = Buffer.alloc(2 + extra + (masked ? 4 : 0))
  head[0] = (final ? 0x80 : 0) | kind
  head[1] = (masked ? 0x80 : 0) | (extra === 0 ? length : extra === 2 ? 126 : 127)
  if (extra === 2) head.writeUInt16BE(length, 2)
  if (extra === 8) head.writeBigUInt64BE(BigInt(length), 2)
  return head
}

/** Formats a WebSocket frame. */
export function webSocketFrame(
  kind: number,
  payload: string | Uint8Array,
  final = true,
  masked = true
): Buffer {
  const bytes = Buffer.from(payload as Uint8Array)
  return Buffer.concat([headOf(kind, bytes.length, final, masked), bytes])
}

/** Formats the answer to an upgrade request. */
export function upgradeAnswer(request: string): string {
  const [, key = ''] = /^Sec-WebSocket-Key: (.*?)\r$/im.exec(request) ?? []
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** Formats an upgrade request. */
export const upgradeRequest = (path = '/', headers: Readonly<Record<string, string>> = {}): string => {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    'Sec-WebSocket-Version': '13',
    ...headers
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

export interface RawPeerOptions {
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Local address to connect from: any in 127/8. */
  readonly from?: string
  /** Whether it sends the hello at once. @default true */
  readonly sendsHello?: boolean
  /** The session to resume, instead of beginning one. */
  readonly resumption?: ResumeFrame
  /** Whether it acknowledges frames. @default true */
  readonly acknowledges?: boolean
  /** Whether it records received messages. @default true */
  readonly recordsMessages?: boolean
}

/** Close code and reason of a WebSocket; 1006 without a close frame. */
export interface Closing {
  readonly code: number
  readonly reason: string
}

/** A peer on a raw socket. Promises for messages reject once the socket is closed. */
export class RawPeer {
  /** HTTP head of the other end's request or answer; with the body if the answer is a refusal. */
  httpHead = ''
  /** Received messages, if they are recorded. */
  readonly messages: WireMessage[] = []
  /** Frames received and sent, without pure acknowledgements. */
  framesReceived = 0
  framesSent = 0
  bytesReceived = 0
  /** Number of the last call. */
  lastCallId = 0
  isClosed = false
  readonly closed: Promise<Closing>
  #closing: Closing = { code: 1006, reason: '' }
  readonly #waiters = new Set<{ heard(message: WireMessage): void; fail(error: Error): void }>()
  #chunks: Buffer[] = []
  #bufferedBytes = 0
  /** Bytes that must be buffered before the next parse. */
  #neededBytes = 0
  #isOpen = false
  #opened = () => {}
  #resumed = (_by: ResumeFrame) => {}

  private constructor(
    readonly socket: Socket,
    private readonly options: RawPeerOptions,
    private readonly isServer = false
  ) {
    socket.setNoDelay()
    socket.on('error', () => {})
    socket.on('data', data => {
      this.bytesReceived += data.length
      this.#chunks.push(data)
      this.#bufferedBytes += data.length
      if (this.#bufferedBytes >= this.#neededBytes) this.#read()
    })
    this.closed = new Promise(resolve => {
      socket.on('close', () => {
        this.isClosed = true
        const why = !this.#isOpen ? `refused: ${this.httpHead}` : `closed: ${Object.values(this.#closing)}`
        for (const { fail } of this.#waiters) fail(new Error(why))
        resolve(this.#closing)
      })
    })
  }

  /** Opens a TCP connection; nothing is sent yet. */
  static async dial(url: string, options: RawPeerOptions = {}): Promise<RawPeer> {
    const { hostname, port } = new URL(url)
    const host = hostname === 'localhost' ? '127.0.0.1' : hostname.replace(/^\[|\]$/g, '')
    const socket = connect({
      host,
      port: Number(port),
      ...(options.from ? { localAddress: options.from } : {})
    })
    await once(socket, 'connect')
    return new RawPeer(socket, options)
  }

  /** Opens a WebSocket. @throws Error with the answer of a server that refuses it */
  static async open(url: string, options: RawPeerOptions = {}): Promise<RawPeer> {
    const peer = await RawPeer.dial(url, options)
    await peer.upgrade()
    if (options.resumption) await peer.#resume(options.resumption)
    else if (options.sendsHello ?? true) peer.send([hello()])
    return peer
  }

  /** The server side of an accepted TCP connection. */
  static accept(socket: Socket, options: RawPeerOptions = {}): RawPeer {
    return new RawPeer(socket, options, true)
  }

  /** Performs the WebSocket handshake, as a client or as a server. */
  async upgrade(): Promise<void> {
    const { path, headers } = this.options
    const open = new Promise<void>((resolve, fail) => {
      this.#opened = resolve
      this.#waiters.add({ heard() {}, fail })
    })
    if (!this.isServer) this.write(upgradeRequest(path, headers))
    await open
    if (this.isServer) this.write(upgradeAnswer(this.httpHead))
  }

  #read(): void {
    let data = Buffer.concat(this.#chunks, this.#bufferedBytes)
    for (;;) {
      const length = this.#isOpen ? this.#readFrame(data) : this.#readAnswer(data)
      if (length === 0) break
      data = data.subarray(length)
    }
    this.#chunks = data.length > 0 ? [data] : []
    this.#bufferedBytes = data.length
  }

  /** Parses the buffered data. @returns the bytes parsed; 0 if data is missing */
  #readAnswer(data: Buffer): number {
    const end = data.indexOf('\r\n\r\n')
    this.httpHead = data.toString('latin1')
    if (end < 0 || !this.httpHead.startsWith(this.isServer ? 'GET ' : 'HTTP/1.1 101 ')) return 0
    this.httpHead = this.httpHead.slice(0, end)
    this.#isOpen = true
    this.#opened()
    return end + 4
  }

  #readFrame(data: Buffer): number {
    this.#neededBytes = 2
    if (data.length < this.#neededBytes) return 0
    const short = data[1]! & 127
    const begin = short < 126 ? 2 : short === 126 ? 4 : 10
    const start = (this.#neededBytes = begin + (data[1]! & 0x80 ? 4 : 0))
    if (data.length < start) return 0
    const length =
      short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2))
    this.#neededBytes = start + length
    if (data.length < this.#neededBytes) return 0
    const payload = data.subarray(start, start + length)
    this.#onWebSocketFrame(
      data[0]! & 15,
      start > begin ? unmask(payload, data.subarray(begin, start)) : payload
    )
    this.#neededBytes = 2
    return start + length
  }

  #onWebSocketFrame(kind: number, payload: Buffer): void {
    if (kind === PING) return void this.webSocket(PONG, payload)
    if (kind === CLOSE) {
      if (payload.length >= 2) {
        this.#closing = { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
      }
      this.webSocket(CLOSE, payload)
      return void this.socket.end()
    }
    if (kind !== TEXT && kind !== BINARY) return
    const data = kind === TEXT ? payload.toString() : payload
    const resumed = parseResume('resumed', data)
    if (resumed) return this.#resumed(resumed)
    // A resuming client sends its token before any frame.
    if (typeof data === 'string' && data.startsWith('["')) return
    const frame = parseFrame(data, NO_LIMITS)
    if (frame.isAckOnly) {
      if (frame.requestsAck && this.#acknowledges) this.text(`[${this.framesReceived}]`)
      return
    }
    this.framesReceived++
    for (const message of frame.messages as WireMessage[]) {
      if (this.options.recordsMessages ?? true) this.messages.push(message)
      for (const waiting of this.#waiters) waiting.heard(message)
    }
  }

  /** @throws Error if the server does not know the session */
  async #resume(resumption: ResumeFrame): Promise<void> {
    const resumed = new Promise<void>((resolve, fail) => {
      this.#resumed = ({ ack }) => {
        this.framesSent = ack
        resolve()
      }
      this.#waiters.add({ heard() {}, fail })
    })
    this.framesReceived = resumption.ack
    this.text(formatResume('resume', resumption))
    await resumed
  }

  get #acknowledges() {
    return this.options.acknowledges ?? true
  }

  /** Writes raw bytes. @returns false if they are buffered; `drained` then resolves when there is room */
  write(bytes: string | Uint8Array): boolean {
    return this.socket.writable && this.socket.write(bytes)
  }

  /** Resolves when written data has been flushed, or the socket has closed. */
  async drained(): Promise<void> {
    if (!this.socket.writableNeedDrain || this.isClosed) return
    const drained = new Promise<void>(resolve => this.socket.once('drain', resolve))
    await Promise.race([drained, this.closed])
  }

  head(kind: number, length: number, final = true): Buffer {
    return headOf(kind, length, final, !this.isServer)
  }

  webSocket(kind: number, payload: string | Uint8Array): boolean {
    return this.write(webSocketFrame(kind, payload, true, !this.isServer))
  }

  text(text: string): boolean {
    return this.webSocket(TEXT, text)
  }

  /** Sends a frame of messages, each JSON or a value; `received` is its acknowledgement. */
  send(
    messages: readonly (WireMessage | string)[],
    received = this.#acknowledges ? this.framesReceived : 0
  ): boolean {
    this.framesSent++
    return this.text(`[${received},[${messages.map(textOf).join()}]]`)
  }

  /** Sends a frame of one message and its byte ranges. */
  sendBytes(message: WireMessage | string, ranges: readonly Uint8Array[]): boolean {
    this.framesSent++
    const frame = formatFrame(
      this.#acknowledges ? this.framesReceived : 0,
      [textOf(message)],
      new Map([[0, ranges]])
    )
    return this.webSocket(BINARY, frame as Uint8Array)
  }

  /** Resolves with the first received message that matches. */
  message(predicate: (message: WireMessage) => boolean): Promise<WireMessage> {
    const came = this.messages.find(predicate)
    if (came) return Promise.resolve(came)
    if (this.isClosed) return Promise.reject(new Error('it is closed'))
    return new Promise((resolve, fail) => {
      const waiting = {
        heard: (message: WireMessage) => {
          if (!predicate(message)) return
          this.#waiters.delete(waiting)
          resolve(message)
        },
        fail
      }
      this.#waiters.add(waiting)
    })
  }

  reply(id: number): Promise<WireMessage> {
    return this.message(([op, of]) => of === id && (op === Op.result || op === Op.error || op === Op.refused))
  }

  /** Makes a call. @returns the message of its reply */
  ask(op: number, target: number, path: unknown, ...rest: readonly unknown[]): Promise<WireMessage> {
    this.send([[op, ++this.lastCallId, target, path, ...rest]])
    return this.reply(this.lastCallId)
  }

  call(path: unknown, ...args: readonly unknown[]): Promise<WireMessage> {
    return this.ask(Op.call, 0, path, args)
  }

  /** Resolves when the peer has processed everything sent before. */
  async ping(): Promise<void> {
    this.send([[Op.ping, ++this.lastCallId]])
    await this.reply(this.lastCallId)
  }

  /** Stops reading until `resume()`. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Ends the connection with a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Ends the connection without a close frame. */
  async end(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }
}

const unmask = (payload: Buffer, mask: Buffer) => payload.map((byte, i) => byte ^ mask[i & 3]!) as Buffer
const textOf = (message: WireMessage | string) =>
  typeof message === 'string' ? message : JSON.stringify(message)
