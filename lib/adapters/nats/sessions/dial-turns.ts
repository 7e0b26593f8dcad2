// Limits how many dials of a process to one subject wait for an answer: an instance answers each soon, however many there are.

/** Most dials to a subject that wait for an answer. */
const MAX_UNANSWERED = 256

/** The dials to a subject. */
interface DialQueue {
  unanswered: number
  /** Dials that wait for their turn, in order. */
  readonly waiting: Set<() => void>
}

/**
 * The turns of dials. Without them, the sessions of a process that all lose their transports at once would dial again before
 * the instance has answered their first dials, and so have it open more transports than it can.
 */
export class DialTurns {
  readonly #queues = new Map<string, DialQueue>()

  /** Calls `dial` when it is its turn. @returns ends the turn, or the wait for it. It must be called once */
  take(subject: string, dial: () => void): () => void {
    const queue = this.#queues.get(subject) ?? { unanswered: 0, waiting: new Set() }
    this.#queues.set(subject, queue)
    queue.waiting.add(dial)
    startNext(queue)
    return () => {
      if (!queue.waiting.delete(dial)) queue.unanswered--
      startNext(queue)
      if (queue.unanswered === 0) this.#queues.delete(subject)
    }
  }
}

function startNext(queue: DialQueue): void {
  const [dial] = queue.waiting
  if (dial === undefined || queue.unanswered === MAX_UNANSWERED) return
  queue.waiting.delete(dial)
  queue.unanswered++
  dial()
}
