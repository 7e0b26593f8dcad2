// What came of the peer's calls, kept for calls that build on it: until the peer has counted the frame with the reply.

import { estimateJson } from '../codec/memory-estimate.js'
import { CallRejection } from '../errors.js'
import { LazyMap } from '../util/lazy-map.js'
import { Queue } from '../util/queue.js'

/** How a call ended: with a value, read off `self` if it is a member function, or with an error. */
export type Answer =
  | { readonly ok: true; readonly value: unknown; readonly self?: object }
  | { readonly ok: false; readonly error: unknown }

type AnswerListeners = ((answer: Answer) => void)[]

const UNDEFINED_ANSWER: Answer = { ok: true, value: undefined }
/** In the place of an answer that is one too many. */
const DROPPED_ANSWER: Answer = {
  ok: false,
  error: new CallRejection(
    'limit',
    'the answer that it builds on is not kept beside others that are not acknowledged (limits.bufferedBytes): await that answer first'
  )
}

export class AnswerTable {
  readonly #settled = new LazyMap<number, Answer>()
  readonly #listeners = new LazyMap<number, AnswerListeners>()
  /** The settled ones in the order of the frames their replies are in. */
  readonly #byFrame = new Queue<{ readonly frame: number; readonly id: number; readonly weight: number }>()
  /** About what the settled ones weigh, in bytes. */
  #settledBytes = 0

  /** Answers are kept while those before them weigh no more than `most`. */
  constructor(private readonly maxBytes: number) {}

  /** Calls under way, and answers that the peer has not counted. */
  get size(): number {
    return this.#listeners.size + this.#settled.size
  }

  /** Calls under way. */
  get pendingCount(): number {
    return this.#listeners.size
  }

  /** The call is under way: calls on its answer are to wait. */
  addPending(id: number): void {
    this.#listeners.set(id, [])
  }

  /** The reply is in `frame`, and was written as `json`; the calls that wait for it run now, in order. */
  settle(id: number, answer: Answer, frame: number, json = ''): void {
    // Nothing can be built on a primitive, so none is kept.
    if (
      !answer.ok ||
      (typeof answer.value === 'object' && answer.value !== null) ||
      typeof answer.value === 'function'
    ) {
      const kept = this.#settledBytes <= this.maxBytes
      const weight = kept ? estimateJson(json, this.maxBytes - this.#settledBytes) : 0
      this.#settled.set(id, kept ? answer : DROPPED_ANSWER)
      this.#byFrame.push({ frame, id, weight })
      this.#settledBytes += weight
    }
    const listeners = this.#listeners.get(id)
    if (!listeners) return
    this.#listeners.delete(id)
    for (const whenAnswered of listeners) whenAnswered(answer)
  }

  /** Whether the call is under way. */
  isPending(id: number): boolean {
    return this.#listeners.has(id)
  }

  /** An answer, if it is there. */
  settledAnswer(id: number): Answer | undefined {
    return this.isPending(id) ? undefined : (this.#settled.get(id) ?? UNDEFINED_ANSWER)
  }

  /** Uses an answer that is not there yet when it is, in the order of these calls. */
  whenAnswered(id: number, use: (answer: Answer) => void): void {
    this.#listeners.get(id)!.push(use)
  }

  /** The peer has received that many of our frames: what their replies said it no longer asks for by call. */
  dropAcknowledged(frames: number): void {
    for (let next = this.#byFrame.first; next && next.frame <= frames; next = this.#byFrame.first) {
      this.#settled.delete(next.id)
      this.#settledBytes -= next.weight
      this.#byFrame.shift()
    }
  }

  clear(): void {
    this.#settled.clear()
    this.#listeners.clear()
    this.#byFrame.clear()
    this.#settledBytes = 0
  }
}
