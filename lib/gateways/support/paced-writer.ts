// Writes to a connection at the pace at which the client reads.

import type { Duplex } from 'node:stream'
import { type Limits, MAX_BUFFERED_FACTOR } from '../../protocol/limits.js'
import { startDeadline } from '../../util/deadline.js'
import { ReadDeadline } from '../../util/read-deadline.js'

/** Time in which a client must close its side after the end of this side, in ms. */
const LINGER_MS = 1000

/**
 * Collects what is written in one tick. While the client leaves too much unread, it pauses reading from the connection; it
 * destroys the connection of a client that reads nothing for `limits.pauseMs`, or leaves twice `limits.bufferedBytes` unread.
 */
export class PacedWriter {
  readonly #deadline: ReadDeadline
  #isCorked = false

  constructor(
    private readonly socket: Duplex,
    private readonly limits: Pick<Limits, 'bufferedBytes' | 'pauseMs'>
  ) {
    this.#deadline = new ReadDeadline(limits.pauseMs, {
      get isBacklogged() {
        return socket.writableNeedDrain
      },
      get pendingWriteBytes() {
        return socket.writableLength
      },
      peerAck: 0,
      onReadStalled: () => socket.destroy()
    })
    socket.on('drain', () => socket.resume()).once('close', () => this.#deadline.stop())
  }

  /** Writes, unless the connection has closed. */
  write(data: string | Uint8Array): void {
    const { socket } = this
    if (!socket.writable) return
    if (!this.#isCorked) this.#cork()
    if (socket.write(data)) return
    if (socket.writableLength > MAX_BUFFERED_FACTOR * this.limits.bufferedBytes) return void socket.destroy()
    socket.pause()
    this.#deadline.start()
  }

  /** Ends the connection when all is written. Destroys it if the client does not close its side soon after. */
  end(): void {
    const { socket } = this
    if (!socket.writable) return
    socket.end(() => {
      if (socket.destroyed) return
      const deadline = startDeadline(LINGER_MS, () => socket.destroy()).unref()
      socket.once('close', () => deadline.stop())
    })
  }

  #cork(): void {
    this.#isCorked = true
    this.socket.cork()
    process.nextTick(() => {
      this.#isCorked = false
      this.socket.uncork()
    })
  }
}
