// Ends the connection of a client that does not read its messages. It may keep the connection alive, and open windows for none of them.

import type { Duplex } from 'node:stream'
import { type Limits, MAX_BUFFERED_FACTOR } from '../../protocol/limits.js'
import { ReadDeadline } from '../../util/read-deadline.js'

export class UnreadMessages {
  readonly #deadline: ReadDeadline
  readonly #maxBytes: number
  #bytes = 0
  #readCount = 0

  constructor(socket: Duplex, { bufferedBytes, pauseMs }: Pick<Limits, 'bufferedBytes' | 'pauseMs'>) {
    const unread = this
    this.#maxBytes = MAX_BUFFERED_FACTOR * bufferedBytes
    this.#deadline = new ReadDeadline(pauseMs, {
      get isBacklogged() {
        return unread.#bytes > unread.#maxBytes
      },
      get peerAck() {
        return unread.#readCount
      },
      pendingWriteBytes: 0,
      onReadStalled: () => socket.destroy()
    })
    socket.once('close', () => this.#deadline.stop())
  }

  /** A message is sent. */
  add(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > this.#maxBytes) this.#deadline.start()
  }

  /** The client has read a message, or its call has ended. */
  remove(bytes: number): void {
    this.#bytes -= bytes
    this.#readCount++
  }
}
