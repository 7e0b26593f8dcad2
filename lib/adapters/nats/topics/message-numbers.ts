// Numbers of published messages: each publisher counts its messages, so that subscribers see how many they missed.
import type { MsgHdrs } from '@nats-io/transport-node'
import { numberIn } from '../message-headers.js'
import { createId } from '../subjects.js'

const NUMBER = /^([\w-]{1,22}) ([1-9]\d{0,14})$/
/** Most bytes that the header adds to a message. */
export const NUMBER_HEADER_BYTES = 128
/** Most publishers whose last numbers a subscriber knows, so that no peer fills the memory. */
const MAX_PUBLISHERS = 1024

/** The numbers of one publisher's messages. */
export class MessageNumbers {
  readonly #publisher = createId()
  #last = 0

  /** The number of the next message, as its headers have it. */
  next(): string {
    return `${this.#publisher} ${++this.#last}`
  }
}

/** Counts the messages of all publishers that have not arrived. */
export class MissedMessages {
  count = 0
  /** The last numbers of publishers. The last publisher has published last. */
  readonly #lastNumbers = new Map<string, number>()

  /** Notes that a message has arrived. One without a number is no reason to count. */
  note(headers: MsgHdrs | undefined): void {
    const [, publisher, digits] = NUMBER.exec(numberIn(headers)) ?? []
    if (publisher === undefined) return
    const number = Number(digits)
    // What it published before its first message here is unknown.
    const last = this.#lastNumbers.get(publisher) ?? number - 1
    this.count += Math.max(0, number - last - 1)
    this.#lastNumbers.delete(publisher)
    this.#lastNumbers.set(publisher, number)
    if (this.#lastNumbers.size > MAX_PUBLISHERS)
      this.#lastNumbers.delete(this.#lastNumbers.keys().next().value as string)
  }
}
