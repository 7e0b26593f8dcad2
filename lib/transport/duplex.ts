// Frames over a stream of bytes: a socket, a pipe, the standard streams of a process.
//
//   u32 length, big-endian | u8 kind | that many bytes: 0 a text frame, 1 a binary frame, 2 the farewell, and the last
import { isUtf8 } from 'node:buffer'
import type { Socket } from 'node:net'
import { Duplex, type Readable, type Writable } from 'node:stream'
import type { Reason } from '../errors.js'
import { clock, type Timer } from '../util/clock.js'
import { runInMicrotask } from '../util/scheduler.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import type { ByteEndpoint } from './endpoint.js'
import type { AcceptClient, Listener, Transport, TransportListener } from './transport.js'

const TEXT = 0
const BINARY = 1
const CLOSE_REASON = 2
const HEADER_BYTES = 5
/** How long the other end may take to end its side, in ms, from when all was sent; and how long that may take. */
const CLOSE_TIMEOUT_MS = 2000
const DRAIN_TIMEOUT_MS = 30_000
const PEER_NAME = 'the other end of the stream'

export class DuplexTransport implements Transport {
  readonly transfersBuffers = false
  readonly bytesReceived = undefined
  readonly #input: Readable
  readonly #output: Writable
  #listener!: TransportListener
  /** What has come and was not acted on, and how much that is. */
  #chunks: Buffer[] = []
  #chunkBytes = 0
  /** Of the frame that comes next, when it is known. */
  #header: { readonly length: number; readonly kind: number } | undefined
  /** Whether it is writing: a stream within this process may bring the answer meanwhile, which has to wait. */
  #writing = false
  #opened = false
  #closeReason: Reason | undefined
  #closed = false
  #destroyed = false
  #closeTimer: Timer | undefined
  #error: Error | undefined

  /**
   * `maxPayload` is the longest frame the other end may send, in bytes.
   *
   * @throws TypeError for a stream that does not give bytes
   */
  constructor(
    endpoint: ByteEndpoint,
    private readonly maxPayload: number
  ) {
    const { readable, writable } = endpoint
    if (typeof readable === 'boolean') this.#input = this.#output = endpoint as Duplex
    else if ('getReader' in readable) this.#input = this.#output = Duplex.fromWeb(endpoint as never)
    else [this.#input, this.#output] = [readable as Readable, writable as Writable]
    if (this.#input.readableEncoding) {
      throw new TypeError('the stream gives text, for it has an encoding: netref needs its bytes')
    }
    for (const stream of this.#streams) {
      stream.on('error', error => {
        this.#error ??= error
      })
    }
  }

  get #streams(): Iterable<Readable | Writable> {
    return new Set([this.#input, this.#output])
  }

  start(listener: TransportListener): void {
    this.#listener = listener
    const open = () => {
      this.#opened = true
      if (!this.#closed) listener.onOpen()
    }
    for (const stream of this.#streams) stream.on('close', () => this.#onStreamEnd())
    this.#input.on('end', () => this.#onStreamEnd())
    this.#input.on('data', chunk => this.#onData(chunk))
    if (this.#input.destroyed || this.#input.readableEnded || this.#output.destroyed)
      runInMicrotask(() => this.#onStreamEnd())
    else if ((this.#output as { connecting?: boolean }).connecting) this.#output.once('connect', open)
    else runInMicrotask(open)
  }

  send(frame: string | Uint8Array, onSent?: () => void): void {
    this.#write(typeof frame === 'string' ? TEXT : BINARY, frame, onSent)
  }

  get bufferedAmount(): number {
    return this.#output.writableLength
  }

  get pendingWriteBytes(): number {
    return this.bufferedAmount
  }

  pause(): void {
    this.#input.pause()
  }

  resume(): void {
    this.#input.resume()
  }

  close(reason: Reason): void {
    if (this.#closed || this.#closeReason) return
    this.#closeReason = reason
    if (!this.#opened) return this.#destroy()
    this.#write(CLOSE_REASON, formatCloseReason(reason))
    this.#output.end()
    this.#input.resume()
    this.#destroyWithin(DRAIN_TIMEOUT_MS)
  }

  unref(): void {
    for (const stream of [this.#input, this.#output]) (stream as Partial<Socket>).unref?.()
  }

  /** The other end is given some time to end its side, and that long to read what was sent. */
  #destroyWithin(ms: number): void {
    const deadline = clock.now() + ms
    this.#closeTimer ??= clock.setInterval(() => {
      if (this.bufferedAmount === 0 || clock.now() >= deadline) this.#destroy()
    }, CLOSE_TIMEOUT_MS)
  }

  #write(kind: number, body: string | Uint8Array, onSent?: () => void): void {
    const output = this.#output
    this.#writing = true
    if (typeof body === 'string') {
      const length = Buffer.byteLength(body)
      const frame = Buffer.allocUnsafe(HEADER_BYTES + length)
      writeHeader(frame, length, kind)
      frame.write(body, HEADER_BYTES)
      output.write(frame, onSent)
    } else {
      const header = writeHeader(Buffer.allocUnsafe(HEADER_BYTES), body.length, kind)
      output.cork()
      output.write(header)
      output.write(body, onSent)
      output.uncork()
    }
    this.#writing = false
    if (this.#chunkBytes > 0) runInMicrotask(() => this.#readFrames())
  }

  #onData(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#chunkBytes += chunk.length
    if (!this.#writing) this.#readFrames()
  }

  #readFrames(): void {
    while (!this.#closed && this.#chunkBytes >= (this.#header?.length ?? HEADER_BYTES)) {
      if (this.#header) {
        const { kind, length } = this.#header
        this.#header = undefined
        this.#handleFrame(kind, this.#takeBytes(length))
      } else this.#readHeader(this.#takeBytes(HEADER_BYTES))
    }
  }

  /** The next `length` bytes of those that have come. */
  #takeBytes(length: number): Buffer {
    const first = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#chunkBytes)
    this.#chunkBytes -= length
    this.#chunks = this.#chunkBytes > 0 ? [first.subarray(length)] : []
    return first.subarray(0, length)
  }

  #readHeader(header: Buffer): void {
    const length = header.readUInt32BE()
    const kind = header[4]!
    if (kind > CLOSE_REASON)
      return this.#end({ code: 'protocol', message: `${PEER_NAME} sent what is no frame` })
    if (length > this.maxPayload) {
      const message = `${PEER_NAME} sent a frame of ${length} bytes, where ${this.maxPayload} are the most`
      return this.#end({ code: 'limit', message })
    }
    this.#header = { length, kind }
  }

  #handleFrame(kind: number, body: Buffer): void {
    if (kind === BINARY) return this.#listener.onFrame(body)
    const invalidText: Reason = { code: 'protocol', message: `${PEER_NAME} sent what is no text` }
    if (!isUtf8(body)) return this.#end(invalidText)
    if (kind === TEXT) return this.#listener.onFrame(body.toString())
    this.#end(parseCloseReason(body.toString(), PEER_NAME) ?? invalidText)
  }

  /** One of the two streams is at its end, or both. */
  #onStreamEnd(): void {
    const cause = this.#error
    const why = cause ? cause.message : 'it ended'
    const lost: Reason = this.#opened
      ? { code: 'connection-lost', message: `the connection to ${PEER_NAME} was lost: ${why}`, cause }
      : { code: 'unreachable', message: `cannot reach ${PEER_NAME}: ${why}`, cause }
    this.#end(this.#closeReason ?? lost)
  }

  #end(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    this.#chunks = []
    this.#listener.onClose(reason)
    if (this.#destroyed) return
    this.#output.end(() => this.#destroy())
    this.#destroyWithin(0)
  }

  /** A stream need not tell of it. */
  #destroy(): void {
    this.#destroyed = true
    clock.clearInterval(this.#closeTimer)
    this.#input.destroy()
    this.#output.destroy()
    runInMicrotask(() => this.#onStreamEnd())
  }
}

function writeHeader(frame: Buffer, length: number, kind: number): Buffer {
  frame.writeUInt32BE(length)
  frame[4] = kind
  return frame
}

/** The one client at the other end of a stream. */
export class DuplexListener implements Listener {
  readonly url = undefined

  constructor(private readonly transport: DuplexTransport) {}

  async open(accept: AcceptClient): Promise<void> {
    accept({ transport: this.transport })
  }

  unref(): void {
    this.transport.unref()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
