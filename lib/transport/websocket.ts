// The transport over a WebSocket of the package `ws`, of a client or a server.
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type ClientOptions, type RawData, WebSocket } from 'ws'
import type { Reason } from '../errors.js'
import { isTransportLoss } from '../errors.js'
import { clock, unref } from '../util/clock.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import { toPrintable } from '../util/printable.js'
import { BaseTransport } from './base-transport.js'
import { BusyPoll } from './busy-poll.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import { isClientRefusal } from './http-status.js'
import { formatWebSocketFrame, type Masking, maskingFor } from './websocket-frame.js'

const CLOSE_CODES: Partial<Record<string, number>> = {
  closed: 1000,
  'server-closed': 1001,
  protocol: 1002,
  limit: 1009,
  unauthorized: 3000,
  unavailable: 1013,
  'service-failed': 1011,
  internal: 1011
}
/** Close code of all other reasons, in the range for applications. */
const DEFAULT_CLOSE_CODE = 4000

/** Close code of a browser whose page is closed, or leaves for another one (RFC 6455 §7.4.1). */
const GOING_AWAY_CODE = 1001

/** Time for the other end to close once all is sent, and time to send all. */
const CLOSE_TIMEOUT_MS = 2000
const DRAIN_TIMEOUT_MS = 30_000

export class WebSocketTransport extends BaseTransport {
  #error: Error | undefined
  /** Response of a server that did not open the socket. */
  #httpResponse: IncomingMessage | undefined
  /** Runs until the socket of a client is open. */
  #openDeadline: Deadline | undefined
  /** Data of the last ping, while a pong is on its way. */
  #pendingPing: Buffer | undefined
  #wasOpen = false
  #keepsProcessAlive = true
  /** Takes raw WebSocket frames; undefined if an extension of the socket changes them. */
  #rawSocket: Socket | undefined
  readonly #isServer: boolean
  readonly #masking: Masking
  readonly transfersBuffers = false
  readonly #busyPoll: BusyPoll | undefined

  constructor(
    private readonly socket: WebSocket,
    /** Name of the other end in reasons: for a client, the address. */
    private readonly peerName: string,
    /** Whether to poll for the answer after each frame sent. */
    busyPoll: boolean,
    /** Socket under the WebSocket. A client gets its own later. */
    private stream?: Socket
  ) {
    super()
    this.#busyPoll = busyPoll ? new BusyPoll() : undefined
    this.#isServer = stream !== undefined
    this.#masking = stream ? 'none' : maskingFor(socket.url)
    socket.on('error', error => {
      this.#error ??= error
    })
    socket.on('ping', (data: Buffer) => this.#queuePong(data))
  }

  /** Answers the last ping once the pong before has left: a peer that sends pings and reads no pong must not cause a queue. */
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

  /** The transport of a client. The options are those of `ws`, whose own handshake timer ignores an answer not read yet. */
  static connect(
    address: string,
    options: ClientOptions,
    peerName: string,
    busyPoll: boolean
  ): WebSocketTransport {
    const { finishRequest = (request: ClientRequest) => request.end(), handshakeTimeout } = options
    const begin = (request: ClientRequest, socket: WebSocket) => {
      request.once('socket', stream => transport.#useStream(stream))
      finishRequest(request, socket)
    }
    const transport = new WebSocketTransport(
      new WebSocket(address, { ...options, finishRequest: begin, handshakeTimeout: undefined }),
      peerName,
      busyPoll
    )
    if (handshakeTimeout)
      transport.#openDeadline = startDeadline(handshakeTimeout, () => transport.#onOpenTimeout()).unref()
    return transport
  }

  #onOpenTimeout(): void {
    this.#error ??= new Error('Opening handshake has timed out')
    this.socket.terminate()
  }

  /** The socket is known before it is open, so that a pending connection can be unreferenced, too. */
  #useStream(stream: Socket): void {
    this.stream = stream
    if (!this.#keepsProcessAlive) stream.unref()
  }

  protected begin(): void {
    const { socket } = this
    // A client waits for its handshake, a server for the first call.
    this.#busyPoll?.frameSent()
    let ended = false
    const closed = (code: number, text: string) => {
      if (ended) return
      ended = true
      this.#openDeadline?.stop()
      this.#busyPoll?.frameReceived()
      this.emitClose(this.#closeReason(code, text))
    }
    // Emitted at once: `ws` emits the close of a socket that never opened by a timer, which a test may have replaced.
    socket.on('unexpected-response', (_request, response) =>
      this.#onUnexpectedResponse(response, () => closed(1006, ''))
    )
    socket.on('message', (data: RawData, isBinary: boolean) => {
      this.#busyPoll?.frameReceived()
      this.listener.onFrame(isBinary ? (data as Buffer) : String(data))
    })
    socket.on('close', (code, text) => closed(code, String(text)))
    const opened = () => {
      this.#openDeadline?.stop()
      this.#wasOpen = true
      if (socket.extensions === '') this.#rawSocket = this.stream
      this.emitOpen()
    }
    if (socket.readyState === socket.OPEN) opened()
    else socket.on('open', opened)
  }

  send(frame: string | Uint8Array, onSent?: () => void): void {
    const { socket } = this
    const stream = this.#rawSocket
    this.#busyPoll?.frameSent()
    if (!stream || socket.readyState !== socket.OPEN) return socket.send(frame, onSent)
    const [piece, rest] = formatWebSocketFrame(frame, this.#masking)
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

  /** Calls `onBytes` with the size of each chunk of raw data, once it is read. @returns removes the listener */
  onRawData(onBytes: (bytes: number) => void): () => void {
    const stream = this.stream!
    const onData = ({ length }: Buffer) => onBytes(length)
    stream.on('data', onData)
    return () => void stream.off('data', onData)
  }

  /** Closes at once, without a reason. */
  terminate(): void {
    this.socket.terminate()
  }

  /** `bufferedAmount` contains a write until all of it has left; the handle of the socket knows the parts. */
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
    // A lost socket sends no more.
    const deadline = clock.now() + (isTransportLoss(reason) ? 0 : DRAIN_TIMEOUT_MS)
    const timer = clock.setInterval(() => {
      if (this.bufferedAmount === 0 || clock.now() > deadline) socket.terminate()
    }, CLOSE_TIMEOUT_MS)
    unref(timer)
    socket.once('close', () => clock.clearInterval(timer))
  }

  /** The server answered with an HTTP response, whose text may say why. */
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

  /** The reason of the close: that of the other end, else the failure of the socket. */
  #closeReason(closeCode: number, text: string): Reason {
    const { peerName: peer } = this
    const cause = this.#error
    if (!this.#wasOpen) {
      const { statusCode = 0, headers = {} } = this.#httpResponse ?? {}
      const code = isClientRefusal(statusCode) ? 'unauthorized' : 'unreachable'
      const retryAfter = parseRetryAfter(headers['retry-after'])
      // A socket that was never open has an error.
      return { code, message: `cannot reach ${peer}: ${describeCause(cause!)}`, cause, retryAfter }
    }
    const reason = parseCloseReason(text, peer)
    if (reason) return reason
    if (cause && 'code' in cause && String(cause.code).startsWith('WS_ERR_')) {
      const tooLarge = cause.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
      return {
        code: tooLarge ? 'limit' : 'protocol',
        message: `${peer} sent an invalid frame: ${cause.message}`,
        cause
      }
    }
    if (closeCode === 1009) return { code: 'limit', message: `${peer} rejected a frame as too large` }
    if (this.#isServer && closeCode === GOING_AWAY_CODE)
      return { code: 'closed', message: `${peer} has closed its page` }
    const why = text || `close code ${closeCode}`
    return { code: 'connection-lost', message: `the connection to ${peer} was lost: ${why}` }
  }
}

/** The beginning of a foreign text, as one printable line. */
const toSingleLine = (text: string) =>
  toPrintable(
    text
      .slice(0, 200)
      .replace(/\p{Cc}+/gu, ' ')
      .trim()
  )

/** Seconds of a `Retry-After` header, which holds seconds or a date. */
function parseRetryAfter(header: string | undefined): number | undefined {
  const seconds = Number(header)
  const until = Number.isNaN(seconds) ? (Date.parse(header!) - clock.wallNow()) / 1000 : seconds
  return until >= 0 ? until : undefined
}

/** For a name with several addresses, Node throws an AggregateError without a message. */
const describeCause = (cause: Error & { errors?: Error[] }) =>
  cause.message || cause.errors?.map(({ message }) => message).join(', ')
