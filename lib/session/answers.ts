// What came of the peer's calls, kept for calls that build on it: until the peer has counted the frame with the reply.

import { weightOfJson } from '../codec/weight.js'
import { Refusal } from '../errors.js'
import { SparseMap } from '../util/lazy-map.js'
import { Queue } from '../util/queue.js'

/** How a call ended: with a value, read off `self` if it is a member function, or with an error. */
export type Answer =
  | { readonly ok: true; readonly value: unknown; readonly self?: object }
  | { readonly ok: false; readonly error: unknown }

type Waiting = ((answer: Answer) => void)[]

const NOTHING: Answer = { ok: true, value: undefined }
/** In the place of an answer that is one too many. */
const NOT_KEPT: Answer = {
  ok: false,
  error: new Refusal(
    'limit',
    'the answer that it builds on is not kept beside others that are not acknowledged (limits.bufferedBytes): await that answer first'
  )
}

export class Answers {
  readonly #settled = new SparseMap<number, Answer>()
  readonly #waiting = new SparseMap<number, Waiting>()
  /** The settled ones in the order of the frames their replies are in. */
  readonly #sent = new Queue<{ readonly frame: number; readonly id: number; readonly weight: number }>()
  /** About what the settled ones weigh, in bytes. */
  #weight = 0

  /** Answers are kept while those before them weigh no more than `most`. */
  constructor(private readonly most: number) {}

  /** Calls under way, and answers that the peer has not counted. */
  get size(): number {
    return this.#waiting.size + this.#settled.size
  }

  /** Calls under way. */
  get underWay(): number {
    return this.#waiting.size
  }

  /** The call is under way: calls on its answer are to wait. */
  begin(id: number): void {
    this.#waiting.set(id, [])
  }

  /** The reply is in `frame`, and was written as `json`; the calls that wait for it run now, in order. */
  settle(id: number, answer: Answer, frame: number, json = ''): void {
    // Nothing can be built on a primitive, so none is kept.
    if (
      !answer.ok ||
      (typeof answer.value === 'object' && answer.value !== null) ||
      typeof answer.value === 'function'
    ) {
      const kept = this.#weight <= this.most
      const weight = kept ? weightOfJson(json, this.most - this.#weight) : 0
      this.#settled.set(id, kept ? answer : NOT_KEPT)
      this.#sent.push({ frame, id, weight })
      this.#weight += weight
    }
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    this.#waiting.delete(id)
    for (const use of waiting) use(answer)
  }

  /** Whether the call is under way. */
  awaits(id: number): boolean {
    return this.#waiting.has(id)
  }

  /** An answer, if it is there. */
  known(id: number): Answer | undefined {
    return this.awaits(id) ? undefined : (this.#settled.get(id) ?? NOTHING)
  }

  /** Uses an answer that is not there yet when it is, in the order of these calls. */
  use(id: number, use: (answer: Answer) => void): void {
    this.#waiting.get(id)!.push(use)
  }

  /** The peer has received that many of our frames: what their replies said it no longer asks for by call. */
  acknowledged(frames: number): void {
    for (let next = this.#sent.first; next && next.frame <= frames; next = this.#sent.first) {
      this.#settled.delete(next.id)
      this.#weight -= next.weight
      this.#sent.shift()
    }
  }

  clear(): void {
    this.#settled.clear()
    this.#waiting.clear()
    this.#sent.clear()
    this.#weight = 0
  }
}
