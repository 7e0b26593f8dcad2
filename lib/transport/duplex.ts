// Frames over a stream of bytes: a socket, a pipe, the standard streams of a process.
//
//   u32 length, big-endian | u8 kind | that many bytes: 0 a text frame, 1 a binary frame, 2 the farewell, and the last
import { isUtf8 } from 'node:buffer'
import type { Socket } from 'node:net'
import { Duplex, type Readable, type Writable } from 'node:stream'
import type { Reason } from '../errors.js'
import { clock, type Timer } from '../util/clock.js'
import { inMicrotask } from '../util/scheduler.js'
import { formatFarewell, parseFarewell } from './close-reason.js'
import type { ByteEndpoint } from './endpoint.js'
import type { LetIn, Listener, Transport, TransportListener } from './transport.js'

const TEXT = 0
const BINARY = 1
const FAREWELL = 2
const HEADER = 5
/** How long the other end may take to end its side, in ms, from when all was sent; and how long that may take. */
const CLOSE_WITHIN = 2000
const DRAIN_WITHIN = 30_000
const PEER = 'the other end of the stream'

export class DuplexTransport implements Transport {
  readonly moves = false
  readonly arrived = undefined
  readonly #input: Readable
  readonly #output: Writable
  #listener!: TransportListener
  /** What has come and was not acted on, and how much that is. */
  #chunks: Buffer[] = []
  #size = 0
  /** Of the frame that comes next, when it is known. */
  #header: { readonly length: number; readonly kind: number } | undefined
  /** Whether it is writing: a stream within this process may bring the answer meanwhile, which has to wait. */
  #writing = false
  #begun = false
  #closing: Reason | undefined
  #closed = false
  #destroyed = false
  #timer: Timer | undefined
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
    const begin = () => {
      this.#begun = true
      if (!this.#closed) listener.opened()
    }
    for (const stream of this.#streams) stream.on('close', () => this.#gone())
    this.#input.on('end', () => this.#gone())
    this.#input.on('data', chunk => this.#receive(chunk))
    if (this.#input.destroyed || this.#input.readableEnded || this.#output.destroyed)
      inMicrotask(() => this.#gone())
    else if ((this.#output as { connecting?: boolean }).connecting) this.#output.once('connect', begin)
    else inMicrotask(begin)
  }

  send(frame: string | Uint8Array, sent?: () => void): void {
    this.#write(typeof frame === 'string' ? TEXT : BINARY, frame, sent)
  }

  get buffered(): number {
    return this.#output.writableLength
  }

  get outgoing(): number {
    return this.buffered
  }

  pause(): void {
    this.#input.pause()
  }

  resume(): void {
    this.#input.resume()
  }

  close(reason: Reason): void {
    if (this.#closed || this.#closing) return
    this.#closing = reason
    if (!this.#begun) return this.#destroy()
    this.#write(FAREWELL, formatFarewell(reason))
    this.#output.end()
    this.#input.resume()
    this.#destroyWithin(DRAIN_WITHIN)
  }

  unref(): void {
    for (const stream of [this.#input, this.#output]) (stream as Partial<Socket>).unref?.()
  }

  /** The other end is given some time to end its side, and that long to read what was sent. */
  #destroyWithin(ms: number): void {
    const deadline = clock.now() + ms
    this.#timer ??= clock.setInterval(() => {
      if (this.buffered === 0 || clock.now() >= deadline) this.#destroy()
    }, CLOSE_WITHIN)
  }

  #write(kind: number, body: string | Uint8Array, sent?: () => void): void {
    const output = this.#output
    this.#writing = true
    if (typeof body === 'string') {
      const length = Buffer.byteLength(body)
      const frame = Buffer.allocUnsafe(HEADER + length)
      writeHeader(frame, length, kind)
      frame.write(body, HEADER)
      output.write(frame, sent)
    } else {
      const header = writeHeader(Buffer.allocUnsafe(HEADER), body.length, kind)
      output.cork()
      output.write(header)
      output.write(body, sent)
      output.uncork()
    }
    this.#writing = false
    if (this.#size > 0) inMicrotask(() => this.#read())
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (!this.#writing) this.#read()
  }

  #read(): void {
    while (!this.#closed && this.#size >= (this.#header?.length ?? HEADER)) {
      if (this.#header) {
        const { kind, length } = this.#header
        this.#header = undefined
        this.#act(kind, this.#take(length))
      } else this.#begin(this.#take(HEADER))
    }
  }

  /** The next `length` bytes of those that have come. */
  #take(length: number): Buffer {
    const first = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#size)
    this.#size -= length
    this.#chunks = this.#size > 0 ? [first.subarray(length)] : []
    return first.subarray(0, length)
  }

  #begin(header: Buffer): void {
    const length = header.readUInt32BE()
    const kind = header[4]!
    if (kind > FAREWELL) return this.#end({ code: 'protocol', message: `${PEER} sent what is no frame` })
    if (length > this.maxPayload) {
      const message = `${PEER} sent a frame of ${length} bytes, where ${this.maxPayload} are the most`
      return this.#end({ code: 'limit', message })
    }
    this.#header = { length, kind }
  }

  #act(kind: number, body: Buffer): void {
    if (kind === BINARY) return this.#listener.received(body)
    const wrong: Reason = { code: 'protocol', message: `${PEER} sent what is no text` }
    if (!isUtf8(body)) return this.#end(wrong)
    if (kind === TEXT) return this.#listener.received(body.toString())
    this.#end(parseFarewell(body.toString(), PEER) ?? wrong)
  }

  /** One of the two streams is at its end, or both. */
  #gone(): void {
    const cause = this.#error
    const why = cause ? cause.message : 'it ended'
    const lost: Reason = this.#begun
      ? { code: 'connection-lost', message: `the connection to ${PEER} was lost: ${why}`, cause }
      : { code: 'unreachable', message: `cannot reach ${PEER}: ${why}`, cause }
    this.#end(this.#closing ?? lost)
  }

  #end(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    this.#chunks = []
    this.#listener.closed(reason)
    if (this.#destroyed) return
    this.#output.end(() => this.#destroy())
    this.#destroyWithin(0)
  }

  /** A stream need not tell of it. */
  #destroy(): void {
    this.#destroyed = true
    clock.clearInterval(this.#timer)
    this.#input.destroy()
    this.#output.destroy()
    inMicrotask(() => this.#gone())
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

  async open(letIn: LetIn): Promise<void> {
    letIn({ transport: this.transport })
  }

  unref(): void {
    this.transport.unref()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
