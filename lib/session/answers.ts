// The outcomes of the peer's calls, for calls that build on them. Each is kept until the peer acknowledges the frame with
// its reply.

import { estimateJson } from '../codec/memory-estimate.js'
import { CallRejection } from '../errors.js'
import { LazyMap } from '../util/lazy-map.js'
import { Queue } from '../util/queue.js'

/** The outcome of a call: a value or an error. `self` is the object from which a member function was read. */
export type Answer =
  | { readonly ok: true; readonly value: unknown; readonly self?: object }
  | { readonly ok: false; readonly error: unknown }

type AnswerListeners = ((answer: Answer) => void)[]

const UNDEFINED_ANSWER: Answer = { ok: true, value: undefined }
/** Replaces an answer that exceeds the limit. */
const DROPPED_ANSWER: Answer = {
  ok: false,
  error: new CallRejection(
    'limit',
    'the result that the call refers to was dropped, as too many results are unacknowledged (limits.bufferedBytes): await that result first'
  )
}

/** A settled answer in the frame that contains its reply. */
interface SettledAnswer {
  readonly frame: number
  readonly id: number
  /** Its reply; empty if the answer is not kept, or was weighed. */
  json: string
  /** Estimated bytes. */
  weight: number
}

export class AnswerTable {
  readonly #settled = new LazyMap<number, Answer>()
  readonly #listeners = new LazyMap<number, AnswerListeners>()
  /** Settled answers, in the order of the frames that contain their replies. */
  readonly #byFrame = new Queue<SettledAnswer>()
  /** Estimated bytes of the settled answers that were weighed. */
  #settledBytes = 0
  /** The last one is weighed when another settles: most are acknowledged before, and to weigh a long reply takes long. */
  #last: SettledAnswer | undefined

  /** An answer is kept if the answers before it take at most `maxBytes`. */
  constructor(private readonly maxBytes: number) {}

  /** Number of pending calls, and of answers that the peer has not acknowledged. */
  get size(): number {
    return this.#listeners.size + this.#settled.size
  }

  /** Number of pending calls. */
  get pendingCount(): number {
    return this.#listeners.size
  }

  /** Adds a pending call. Calls on its answer must wait. */
  addPending(id: number): void {
    this.#listeners.set(id, [])
  }

  /** Settles a call. `frame` contains its reply, serialized as `json`. The calls that wait for it run now, in order. */
  settle(id: number, answer: Answer, frame: number, json = ''): void {
    // No call can build on a primitive, so primitives are not kept.
    if (
      !answer.ok ||
      (typeof answer.value === 'object' && answer.value !== null) ||
      typeof answer.value === 'function'
    ) {
      this.#weighLast()
      const kept = this.#settledBytes <= this.maxBytes
      this.#settled.set(id, kept ? answer : DROPPED_ANSWER)
      this.#last = { frame, id, json: kept ? json : '', weight: 0 }
      this.#byFrame.push(this.#last)
    }
    const listeners = this.#listeners.get(id)
    if (!listeners) return
    this.#listeners.delete(id)
    for (const whenAnswered of listeners) whenAnswered(answer)
  }

  #weighLast(): void {
    const last = this.#last
    if (!last) return
    last.weight = estimateJson(last.json, this.maxBytes - this.#settledBytes)
    last.json = ''
    this.#settledBytes += last.weight
    this.#last = undefined
  }

  /** Whether the call is pending. */
  isPending(id: number): boolean {
    return this.#listeners.has(id)
  }

  /** The answer of a call; undefined while the call is pending. */
  settledAnswer(id: number): Answer | undefined {
    return this.isPending(id) ? undefined : (this.#settled.get(id) ?? UNDEFINED_ANSWER)
  }

  /** Calls `use` with the answer of a pending call when it settles, in the order of these subscriptions. */
  whenAnswered(id: number, use: (answer: Answer) => void): void {
    this.#listeners.get(id)!.push(use)
  }

  /** Drops the answers in the first `frames` frames. The peer has received them, and no longer refers to them by call. */
  dropAcknowledged(frames: number): void {
    for (let next = this.#byFrame.first; next && next.frame <= frames; next = this.#byFrame.first) {
      this.#settled.delete(next.id)
      this.#settledBytes -= next.weight
      if (next === this.#last) this.#last = undefined
      this.#byFrame.shift()
    }
  }

  clear(): void {
    this.#settled.clear()
    this.#listeners.clear()
    this.#byFrame.clear()
    this.#settledBytes = 0
    this.#last = undefined
  }
}
