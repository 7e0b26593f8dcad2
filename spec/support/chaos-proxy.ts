/* c8 ignore start: what befalls a connection is random: faults that no run had this time are no fault. */
// A TCP proxy on loopback that injects network faults at random bytes, also during handshakes.
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Pseudo-random numbers from 0 to 1 (mulberry32). */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Faults of a connection; it survives the first two. */
const FAULTS = ['delay', 'stall', 'cut', 'cut', 'cut', 'reset', 'half-close', 'black-hole'] as const
type Fault = (typeof FAULTS)[number]
const SURVIVABLE_FAULTS: readonly Fault[] = ['delay', 'stall']

export class ChaosProxy {
  /** How often each fault was injected. */
  readonly faultCounts: Record<Fault, number> = {
    delay: 0,
    stall: 0,
    cut: 0,
    reset: 0,
    'half-close': 0,
    'black-hole': 0
  }
  /** Number of connections that were killed. */
  killedConnections = 0
  readonly #server = net.createServer(client => this.#onConnection(client))
  readonly #sockets = new Set<Socket>()
  readonly #blackHoled = new WeakSet<Socket>()
  #maxKilled = 0

  private constructor(
    private readonly port: number,
    private readonly next: () => number,
    /** Most bytes that a connection carries before a fault. */
    private readonly maxBytesBeforeFault: number
  ) {}

  /** Starts a proxy in front of a server; it injects no faults before `injectFaults`. */
  static async inFrontOf(serverUrl: string, seed: number, most = 30_000): Promise<ChaosProxy> {
    const chaos = new ChaosProxy(Number(new URL(serverUrl).port), random(seed), most)
    chaos.#server.listen(0, '127.0.0.1')
    await once(chaos.#server, 'listening')
    return chaos
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Kills this many connections, the present ones first; after that it forwards unchanged. */
  injectFaults(cuts: number): void {
    this.#maxKilled = this.killedConnections + cuts
    this.cutAll()
  }

  /** Drops the bytes of present connections without closing them. */
  blackHoleAll(): void {
    for (const socket of this.#sockets) this.#blackHoled.add(socket)
  }

  /** Destroys all present connections. */
  cutAll(): void {
    this.killedConnections += this.#sockets.size / 2
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.#server.close()
    this.cutAll()
    await once(this.#server, 'close')
  }

  #onConnection(client: Socket): void {
    const server = net.connect(this.port, '127.0.0.1')
    // One direction decides on the fault. Byte counts are distributed logarithmically, so that handshakes are hit,
    // too.
    const [out, back] = this.next() < 0.5 ? [this.#planFault(), undefined] : [undefined, this.#planFault()]
    for (const [from, to, plan] of [
      [client, server, out],
      [server, client, back]
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      void this.#forward(from, to, plan)
    }
  }

  #planFault(): { after: number; fault: Fault } | undefined {
    if (this.killedConnections >= this.#maxKilled) return undefined
    const fault = FAULTS[Math.floor(this.next() * FAULTS.length)]!
    return { after: Math.floor(this.maxBytesBeforeFault ** this.next()), fault }
  }

  async #forward(from: Socket, to: Socket, plan: { after: number; fault: Fault } | undefined): Promise<void> {
    let left = plan?.after ?? Number.POSITIVE_INFINITY
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (this.#blackHoled.has(from)) continue
        if (chunk.length <= left) {
          left -= chunk.length
          to.write(chunk)
          continue
        }
        to.write(chunk.subarray(0, left))
        const { fault } = plan!
        this.faultCounts[fault]++
        if (!SURVIVABLE_FAULTS.includes(fault)) this.killedConnections++
        if (fault === 'cut') return void to.end(() => from.destroy())
        if (fault === 'reset') return void [from, to].map(socket => socket.resetAndDestroy())
        if (fault === 'half-close') return void to.end()
        if (fault === 'black-hole') {
          // Bytes of both directions are dropped without notice.
          to.pause()
          for await (const _ of from);
          return
        }
        await delay(this.next() * (fault === 'stall' ? 150 : 20))
        to.write(chunk.subarray(left))
        plan = this.#planFault()
        left = plan?.after ?? Number.POSITIVE_INFINITY
      }
    } catch {
      // Another fault destroyed the connection.
    }
  }
}
