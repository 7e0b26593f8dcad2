// What crosses the wire: a relay between client and server that counts the frames of a WebSocket and what they carry.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Counts one direction. Of what is no WebSocket all bytes count, and none is a frame. */
class Counter {
  bytes = 0
  frames = 0
  /** Of a header that has not come whole. */
  #left: Buffer = Buffer.alloc(0)
  /** How much of the present frame is to come. */
  #payload = 0
  #inHandshake: boolean

  constructor(private readonly isWebSocket: boolean) {
    this.#inHandshake = isWebSocket
  }

  feed(chunk: Buffer): void {
    if (!this.isWebSocket) {
      this.bytes += chunk.length
      return
    }
    let rest = Buffer.concat([this.#left, chunk])
    if (this.#inHandshake) {
      const end = rest.indexOf('\r\n\r\n')
      this.#inHandshake = end < 0
      rest = rest.subarray(end < 0 ? 0 : end + 4)
    }
    while (!this.#inHandshake && rest.length > 0) {
      if (this.#payload === 0) {
        const header = headerOf(rest)
        if (!header) break
        this.frames++
        this.bytes += header.payload
        this.#payload = header.payload
        rest = rest.subarray(header.length)
      }
      const taken = Math.min(this.#payload, rest.length)
      this.#payload -= taken
      rest = rest.subarray(taken)
    }
    this.#left = rest
  }
}

/** RFC 6455, 5.2. */
function headerOf(data: Buffer): { length: number; payload: number } | undefined {
  if (data.length < 2) return undefined
  const mask = data[1]! & 0x80 ? 4 : 0
  const short = data[1]! & 0x7f
  const length = mask + (short === 127 ? 10 : short === 126 ? 4 : 2)
  if (data.length < length) return undefined
  const payload =
    short === 127 ? Number(data.readBigUInt64BE(2)) : short === 126 ? data.readUInt16BE(2) : short
  return { length, payload }
}

export interface Traffic {
  /** Payload, both ways together. */
  readonly bytes: number
  /** Of the direction that has more; undefined for what is no WebSocket. */
  readonly frames: number | undefined
}

export class Wire {
  readonly #server: Server
  readonly #up: Counter
  readonly #down: Counter
  readonly #sockets = new Set<Socket>()

  private constructor(
    private readonly to: URL,
    private readonly isWebSocket: boolean
  ) {
    this.#up = new Counter(isWebSocket)
    this.#down = new Counter(isWebSocket)
    this.#server = createServer(client => {
      const server = connect(Number(to.port), to.hostname)
      for (const [from, into, counter] of [
        [client, server, this.#up],
        [server, client, this.#down]
      ] as const) {
        this.#sockets.add(from.setNoDelay())
        from.on('data', (chunk: Buffer) => {
          counter.feed(chunk)
          into.write(chunk)
        })
        from.on('close', () => into.destroy())
        from.on('error', () => into.destroy())
      }
    })
  }

  /** Begins to relay to an address. */
  static async to(address: string): Promise<Wire> {
    const to = new URL(address)
    const wire = new Wire(to, to.protocol !== 'tcp:')
    await new Promise<void>(resolve => wire.#server.listen(0, '127.0.0.1', resolve))
    return wire
  }

  /** What to connect to instead. */
  get address(): string {
    return `${this.to.protocol}//127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get traffic(): Traffic {
    const { isWebSocket } = this
    return {
      bytes: this.#up.bytes + this.#down.bytes,
      frames: isWebSocket ? Math.max(this.#up.frames, this.#down.frames) : undefined
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}
