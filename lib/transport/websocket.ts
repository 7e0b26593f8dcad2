// Frames over a WebSocket of the package `ws`.
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type ClientOptions, type RawData, WebSocket } from 'ws'
import type { Reason, ReasonCode } from '../errors.js'
import { isTransportLoss } from '../errors.js'
import { clock, unref } from '../util/clock.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import { toPrintable } from '../util/printable.js'
import { BusyPoll } from './busy-poll.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import { isClientRefusal } from './http-status.js'
import type { Transport, TransportListener } from './transport.js'
import { formatSocketFrame, type Masking, maskingFor } from './websocket-frame.js'

const CLOSE_CODES: Partial<Record<ReasonCode, number>> = {
  closed: 1000,
  'server-closed': 1001,
  protocol: 1002,
  limit: 1009,
  unauthorized: 3000,
  unavailable: 1013,
  'service-failed': 1011,
  internal: 1011
}
/** For every other reason: the range left to applications. */
const DEFAULT_CLOSE_CODE = 4000

/** How long the other end may take to close its end, in ms, from when all was sent; and how long that may take. */
const CLOSE_TIMEOUT_MS = 2000
const DRAIN_TIMEOUT_MS = 30_000

export class WebSocketTransport implements Transport {
  #error: Error | undefined
  /** What the server said in place of opening the socket. */
  #httpResponse: IncomingMessage | undefined
  /** Until a client's socket has to be open. */
  #openDeadline: Deadline | undefined
  /** The last ping, while one is being answered. */
  #pendingPing: Buffer | undefined
  #wasOpen = false
  #keepsProcessAlive = true
  /** What frames are written to: undefined where an extension of the socket changes them on their way. */
  #writable: Socket | undefined
  readonly #masking: Masking
  readonly transfersBuffers = false
  readonly #busyPoll = new BusyPoll()

  constructor(
    private readonly socket: WebSocket,
    /** What the other end is called in reasons: the address, for a client. */
    private readonly peerName: string,
    /** What the frames come through; a client learns of its own. */
    private stream?: Socket
  ) {
    this.#masking = stream ? 'none' : maskingFor(socket.url)
    socket.on('error', error => {
      this.#error ??= error
    })
    socket.on('ping', (data: Buffer) => this.#queuePong(data))
  }

  /** Answers the last ping, once the answer to the one before has left: who pings and reads none makes no queue. */
  #queuePong(data: Buffer): void {
    const waits = this.#pendingPing !== undefined
    this.#pendingPing = data
    if (!waits) this.#sendPong()
  }

  #sendPong(): void {
    const { socket } = this
    const data = this.#pendingPing
    if (socket.readyState !== socket.OPEN) return
    socket.pong(data, undefined, () => {
      const later = this.#pendingPing
      this.#pendingPing = undefined
      if (later && later !== data) this.#queuePong(later)
    })
  }

  /** A client's. Options are those of `ws`; its own timer for the handshake ends one whose answer lies unread. */
  static connect(address: string, options: ClientOptions, peer: string): WebSocketTransport {
    const { finishRequest = (request: ClientRequest) => request.end(), handshakeTimeout } = options
    const begin = (request: ClientRequest, socket: WebSocket) => {
      request.once('socket', stream => transport.#useStream(stream))
      finishRequest(request, socket)
    }
    const transport = new WebSocketTransport(
      new WebSocket(address, { ...options, finishRequest: begin, handshakeTimeout: undefined }),
      peer
    )
    if (handshakeTimeout)
      transport.#openDeadline = startDeadline(handshakeTimeout, () => transport.#onOpenTimeout()).unref()
    return transport
  }

  #onOpenTimeout(): void {
    this.#error ??= new Error('Opening handshake has timed out')
    this.socket.terminate()
  }

  /** Known before it is open, so that waiting for a server can be left, too. */
  #useStream(stream: Socket): void {
    this.stream = stream
    if (!this.#keepsProcessAlive) stream.unref()
  }

  start(listener: TransportListener): void {
    const { socket } = this
    // A client waits to be let in, a server for the first call.
    this.#busyPoll.frameSent()
    let ended = false
    const closed = (code: number, text: string) => {
      if (ended) return
      ended = true
      this.#openDeadline?.stop()
      this.#busyPoll.frameReceived()
      listener.onClose(this.#closeReason(code, text))
    }
    // Told at once: that of a socket which was never open `ws` tells by a timer, which a test may hold up.
    socket.on('unexpected-response', (_request, response) =>
      this.#onUnexpectedResponse(response, () => closed(1006, ''))
    )
    socket.on('message', (data: RawData, isBinary: boolean) => {
      this.#busyPoll.frameReceived()
      listener.onFrame(isBinary ? (data as Buffer) : String(data))
    })
    socket.on('close', (code, text) => closed(code, String(text)))
    const opened = () => {
      this.#openDeadline?.stop()
      this.#wasOpen = true
      if (socket.extensions === '') this.#writable = this.stream
      listener.onOpen()
    }
    if (socket.readyState === socket.OPEN) opened()
    else socket.on('open', opened)
  }

  send(frame: string | Uint8Array, onSent?: () => void): void {
    const { socket } = this
    const stream = this.#writable
    this.#busyPoll.frameSent()
    if (!stream || socket.readyState !== socket.OPEN) return socket.send(frame, onSent)
    const [piece, rest] = formatSocketFrame(frame, this.#masking)
    if (!rest) stream.write(piece, onSent)
    else {
      stream.cork()
      stream.write(piece)
      stream.write(rest, onSent)
      stream.uncork()
    }
  }

  get bufferedAmount(): number {
    return this.socket.bufferedAmount
  }

  /** Tells of each piece of raw bytes, once it is read. @returns what ends that */
  onRawData(onBytes: (bytes: number) => void): () => void {
    const stream = this.stream!
    const onData = ({ length }: Buffer) => onBytes(length)
    stream.on('data', onData)
    return () => void stream.off('data', onData)
  }

  /** Closes at once, without a word. */
  terminate(): void {
    this.socket.terminate()
  }

  /** A write counts as waiting until all of it has left: its handle tells of the parts. */
  get pendingWriteBytes(): number {
    /* c8 ignore next: before the socket there is no stream. */
    const { _handle } = (this.stream ?? {}) as {
      readonly _handle?: { readonly writeQueueSize?: number } | null
    }
    /* c8 ignore next: before it is open, and once it is closed, there is no handle. */
    return this.bufferedAmount + (_handle?.writeQueueSize ?? 0)
  }

  get bytesReceived(): number | undefined {
    return this.stream?.bytesRead
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  unref(): void {
    this.#keepsProcessAlive = false
    this.stream?.unref()
  }

  close(reason: Reason): void {
    const { socket } = this
    socket.close(CLOSE_CODES[reason.code] ?? DEFAULT_CLOSE_CODE, formatCloseReason(reason))
    // What was lost takes no more.
    const deadline = clock.now() + (isTransportLoss(reason) ? 0 : DRAIN_TIMEOUT_MS)
    const timer = clock.setInterval(() => {
      if (this.bufferedAmount === 0 || clock.now() > deadline) socket.terminate()
    }, CLOSE_TIMEOUT_MS)
    unref(timer)
    socket.once('close', () => clock.clearInterval(timer))
  }

  /** The server answered as any web server does: a few words of text may say why. */
  #onUnexpectedResponse(response: IncomingMessage, closed: () => void): void {
    const answer = `Unexpected server response: ${response.statusCode}`
    this.#error = new Error(answer)
    this.#httpResponse = response
    const isText = response.headers['content-type']?.startsWith('text/plain')
    const done = (part = '') => {
      const words = isText ? toSingleLine(String(part)) : ''
      if (words) this.#error = new Error(`${answer} (${words})`)
      this.socket.terminate()
      closed()
    }
    response.once('data', done)
    response.once('close', () => done())
  }

  /** Why the socket closed: what the other end said, else what befell the socket. */
  #closeReason(closeCode: number, text: string): Reason {
    const { peerName } = this
    const cause = this.#error
    if (!this.#wasOpen) {
      const { statusCode = 0, headers = {} } = this.#httpResponse ?? {}
      const code = isClientRefusal(statusCode) ? 'unauthorized' : 'unreachable'
      const retryAfter = parseRetryAfter(headers['retry-after'])
      // A socket that was never open always says why.
      return { code, message: `cannot reach ${peerName}: ${describeCause(cause!)}`, cause, retryAfter }
    }
    const told = parseCloseReason(text, peerName)
    if (told) return told
    if (cause && 'code' in cause && String(cause.code).startsWith('WS_ERR_')) {
      const tooLarge = cause.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
      return {
        code: tooLarge ? 'limit' : 'protocol',
        message: `${peerName} sent what is no frame: ${cause.message}`,
        cause
      }
    }
    if (closeCode === 1009) return { code: 'limit', message: `${peerName} refused a frame as too large` }
    const why = text || `close code ${closeCode}`
    return { code: 'connection-lost', message: `the connection to ${peerName} was lost: ${why}` }
  }
}

/** One line of a text that is not ours. */
const toSingleLine = (text: string) =>
  toPrintable(
    text
      .slice(0, 200)
      .replace(/\p{Cc}+/gu, ' ')
      .trim()
  )

/** What `Retry-After` says: seconds, or a date. */
function parseRetryAfter(header: string | undefined): number | undefined {
  const seconds = Number(header)
  const until = Number.isNaN(seconds) ? (Date.parse(header!) - clock.wallNow()) / 1000 : seconds
  return until >= 0 ? until : undefined
}

/** Node gives an AggregateError without a message where a name has several addresses. */
const describeCause = (cause: Error & { errors?: Error[] }) =>
  cause.message || cause.errors?.map(({ message }) => message).join(', ')
