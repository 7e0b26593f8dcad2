// Decides when the frame that is being built is sent:
//
// 1. At once, for a message of more than `SEND_AT_ONCE_BYTES` on an idle transport. It is on its way while the rest is
//    built, and its bytes are copied once, not twice.
// 2. At the end of the tick, for all other messages: those of a tick leave as one frame.
// 3. When a received frame has been processed, for the messages that it causes synchronously: one frame answers one.
// 4. Before that, for the first half of these messages, if the received frame is long and the peer may be idle. The peer
//    reads the first half while the second half is built.
import { runAfterMicrotasks, runInMicrotask } from '../util/scheduler.js'

/** Bytes of a message that is worth a frame of its own. */
const SEND_AT_ONCE_BYTES = 1 << 15
/** Messages of a received frame whose replies are worth two frames. */
const SPLIT_REPLIES_FROM_MESSAGES = 8
/** Bytes that may wait for the end of the tick before a caller that sends more has to wait for it. */
const TICK_HIGH_WATER_MARK_BYTES = 64 << 10

export class FlushPolicy {
  #isScheduled = false
  /** Messages after which the replies to a received frame are split; undefined while none is processed. */
  #splitAtMessages: number | undefined

  constructor(private readonly flush: () => void) {}

  /** A received frame with that many messages is about to be processed. */
  cork(messages: number): void {
    this.#splitAtMessages = Math.max(SPLIT_REPLIES_FROM_MESSAGES, messages) / 2
  }

  /** A received frame has been processed. @returns whether nothing else causes a flush */
  uncork(): boolean {
    this.#splitAtMessages = undefined
    return !this.#isScheduled
  }

  /** Case 1: whether a message of that many bytes is sent at once. */
  sendsAtOnce(bytes: number): boolean {
    return bytes > SEND_AT_ONCE_BYTES
  }

  /** Cases 2 to 4: a message was added, and the frame has that many now. @returns whether the frame is to be sent now */
  messageAdded(messages: number): boolean {
    if (this.#splitAtMessages !== undefined) return messages >= this.#splitAtMessages
    this.atEndOfTick()
    return false
  }

  /** Whether a frame of that many bytes may grow before the tick ends. */
  isWritable(bytes: number): boolean {
    return bytes < TICK_HIGH_WATER_MARK_BYTES
  }

  /** Flushes at the end of this tick: when all current work is done, promises included, before more input is read. */
  atEndOfTick(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    runInMicrotask(this.#afterPromises)
  }

  readonly #afterPromises = () => runAfterMicrotasks(this.#endTick)

  readonly #endTick = () => {
    this.#isScheduled = false
    this.flush()
  }
}
