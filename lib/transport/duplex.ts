// The transport over a stream of bytes: a socket, a pipe, the standard streams of a process.
//
//   u32 length, big-endian | u8 kind | that many bytes; kinds: 0 text frame, 1 binary frame, 2 close reason, which is last
import { isUtf8 } from 'node:buffer'
import type { Socket } from 'node:net'
import { Duplex, type Readable, type Writable } from 'node:stream'
import type { Reason } from '../errors.js'
import { clock, type Timer } from '../util/clock.js'
import { runInMicrotask } from '../util/scheduler.js'
import { BaseTransport } from './base-transport.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import type { ByteEndpoint } from './endpoint.js'
import type { AcceptClient, ClientListener } from './transport.js'

const TEXT = 0
const BINARY = 1
const CLOSE_REASON = 2
const HEADER_BYTES = 5
/** Time for the other end to end its side once all is sent, and time to send all. */
const CLOSE_TIMEOUT_MS = 2000
const DRAIN_TIMEOUT_MS = 30_000
const PEER_NAME = 'the other end of the stream'

export class DuplexTransport extends BaseTransport {
  readonly transfersBuffers = false
  readonly bytesReceived = undefined
  readonly #input: Readable
  readonly #output: Writable
  /** Received bytes that are not processed yet, and their number. */
  #chunks: Buffer[] = []
  #chunkBytes = 0
  /** Header of the next frame; undefined until it has arrived. */
  #header: { readonly length: number; readonly kind: number } | undefined
  /** Whether a write is in progress: a stream within this process may deliver the answer meanwhile, which must wait. */
  #writing = false
  #opened = false
  #closeReason: Reason | undefined
  #closed = false
  #destroyed = false
  #closeTimer: Timer | undefined
  #error: Error | undefined

  /**
   * `maxPayload` is the size of the longest frame the other end may send, in bytes.
   *
   * @throws TypeError for a stream with an encoding
   */
  constructor(
    endpoint: ByteEndpoint,
    private readonly maxPayload: number
  ) {
    super()
    const { readable, writable } = endpoint
    if (typeof readable === 'boolean') this.#input = this.#output = endpoint as Duplex
    else if ('getReader' in readable) this.#input = this.#output = Duplex.fromWeb(endpoint as never)
    else [this.#input, this.#output] = [readable as Readable, writable as Writable]
    if (this.#input.readableEncoding) {
      throw new TypeError('the stream has an encoding and gives text: pass one without `setEncoding()`')
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

  protected begin(): void {
    const open = () => {
      this.#opened = true
      if (!this.#closed) this.emitOpen()
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

  /** Destroys the streams unless the other end closes in time: it has `ms` to read all that was sent. */
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

  /** Takes the next `length` received bytes. */
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
      return this.#end({ code: 'protocol', message: `${PEER_NAME} sent an invalid frame` })
    if (length > this.maxPayload) {
      const message = `${PEER_NAME} sent a frame of ${length} bytes, and at most ${this.maxPayload} are allowed`
      return this.#end({ code: 'limit', message })
    }
    this.#header = { length, kind }
  }

  #handleFrame(kind: number, body: Buffer): void {
    if (kind === BINARY) return this.listener.onFrame(body)
    const invalidText: Reason = { code: 'protocol', message: `${PEER_NAME} sent invalid UTF-8` }
    if (!isUtf8(body)) return this.#end(invalidText)
    if (kind === TEXT) return this.listener.onFrame(body.toString())
    this.#end(parseCloseReason(body.toString(), PEER_NAME) ?? invalidText)
  }

  /** At least one of the two streams has ended or closed. */
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
    this.emitClose(reason)
    if (this.#destroyed) return
    this.#output.end(() => this.#destroy())
    this.#destroyWithin(0)
  }

  /** Destroys both streams, which may or may not emit an event for it. */
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

/** Accepts the one client at the other end of a stream. */
export class DuplexListener implements ClientListener {
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
