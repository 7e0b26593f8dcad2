// `--chaos`: a proxy that cuts the socket between client and server repeatedly.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** In ms. */
const EVERY = 100

export class Cutter {
  cuts = 0
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer(client => {
    const server = connect(this.port, this.host)
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    }
    client.pipe(server).pipe(client)
  })
  #timer: NodeJS.Timeout | undefined

  private constructor(
    private readonly host: string,
    private readonly port: number
  ) {}

  static async before(url: string): Promise<Cutter> {
    const { hostname, port } = new URL(url)
    const cutter = new Cutter(hostname, Number(port))
    await once(cutter.#server.listen(0, '127.0.0.1'), 'listening')
    return cutter
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Cuts when the next data passes, so that a short file is interrupted, too; then every 100 ms. */
  start(): void {
    for (const socket of this.#sockets) socket.once('data', () => this.#cut())
    this.#timer = setInterval(() => this.#cut(), EVERY)
  }

  #cut(): void {
    if (this.#sockets.size > 0) this.cuts++
    for (const socket of this.#sockets) socket.destroy()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#server.close()
  }

  /** A program that fails must stop it, too: it keeps the process alive. */
  [Symbol.dispose](): void {
    this.stop()
  }
}
