/* c8 ignore start: this is a tool of specs: each of them uses a part of it. */
// A TCP proxy that forwards, refuses, holds or cuts connections.
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'

/**
 * A proxy in front of a server. It forwards (`open`), closes new connections (`refusing`), or leaves them unanswered
 * (`holding`). It may also cut a socket after the 101, or after the server's first answer.
 */
export class GatedProxy {
  readonly heldSockets: Socket[] = []
  connectionCount = 0
  readonly #forwarded = new Set<Socket>()
  readonly #server = net.createServer(socket => this.#onConnection(socket))
  mode: 'open' | 'refusing' | 'holding' | 'cutting after the upgrade' | 'cutting after the first answer' =
    'open'

  private constructor(
    /** Address of the server. */
    public target: string
  ) {}

  static async inFrontOf(target: string): Promise<GatedProxy> {
    const door = new GatedProxy(target)
    door.#server.listen(0, '127.0.0.1')
    await once(door.#server, 'listening')
    return door
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  #onConnection(socket: Socket): void {
    this.connectionCount++
    socket.on('error', () => {})
    if (this.mode === 'refusing') socket.destroy()
    else if (this.mode === 'holding') this.heldSockets.push(socket.pause())
    else if (this.mode === 'open') this.#forward(socket)
    else this.#forwardUntilAnswer(socket, this.mode === 'cutting after the upgrade')
  }

  #forwardUntilAnswer(socket: Socket, atOnce: boolean): void {
    const beyond = net.connect(Number(new URL(this.target).port), '127.0.0.1')
    beyond.on('error', () => {})
    socket.pipe(beyond)
    socket.on('close', () => beyond.destroy())
    let head = ''
    beyond.on('data', data => {
      const upgraded = head.includes('\r\n\r\n')
      if (upgraded) return socket.destroy()
      head += data.toString('latin1')
      const end = head.indexOf('\r\n\r\n') + 4
      if (end < 4) return
      if (atOnce || end < head.length) socket.end(head.slice(0, end))
      else socket.write(head)
    })
  }

  #forward(socket: Socket): void {
    const beyond = net.connect(Number(new URL(this.target).port), '127.0.0.1')
    beyond.on('error', () => {})
    for (const [from, to] of [
      [socket, beyond],
      [beyond, socket]
    ] as const) {
      this.#forwarded.add(from.pipe(to))
      from.on('close', () => to.destroy())
    }
  }

  forwardAll(): void {
    this.mode = 'open'
    for (const socket of this.heldSockets.splice(0)) this.#forward(socket)
  }

  cut(): void {
    for (const socket of this.#forwarded) socket.destroy()
    this.#forwarded.clear()
  }

  async close(): Promise<void> {
    this.#server.close()
    this.cut()
    for (const socket of this.heldSockets) socket.destroy()
    await once(this.#server, 'close')
  }
}
