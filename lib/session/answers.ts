// The outcomes of the peer's calls, for calls that build on them. Each is kept until the peer acknowledges the frame with
// its reply.

import { estimateJson } from '../codec/memory-estimate.js'
import type { Payload } from '../codec/types.js'
import { CallRejection } from '../errors.js'
import { LazyMap } from '../util/lazy-map.js'
import { Queue } from '../util/queue.js'

/**
 * The outcome of a call: a value or an error. `self` is the object from which a member function was read. `payload` is what
 * was sent, unless it is a primitive.
 */
export type Answer = SuccessfulAnswer | { readonly ok: false; readonly error: unknown }

interface SuccessfulAnswer {
  readonly ok: true
  readonly value: unknown
  readonly self?: object | undefined
  readonly payload?: Payload | undefined
}

type AnswerListeners = ((answer: Answer) => void)[]

/** Replaces an answer that exceeds the limit, and any that is not in the table. */
const DROPPED_ANSWER: Answer = {
  ok: false,
  error: new CallRejection(
    'limit',
    'the result that the call refers to was dropped, as too many calls or results are unacknowledged (limits.pendingCalls, limits.bufferedBytes): await that result first'
  )
}

/** A settled answer in the frame that contains its reply. */
interface SettledAnswer {
  readonly frame: number
  readonly id: number
  readonly answer: Answer
  /** Its reply; empty if the answer is not kept, or was weighed. */
  json: string
  /** Estimated bytes. */
  weight: number
}

/** The primitive answers in the frame that contains their replies. There are many, and few are ever looked up. */
interface PrimitiveAnswers {
  readonly frame: number
  readonly ids: number[]
  readonly values: unknown[]
  /** Estimated bytes. */
  bytes: number
}

/** Estimated bytes of a primitive, besides the characters of a string. */
const PRIMITIVE_BYTES = 128

export const isPrimitive = (value: unknown): boolean =>
  (typeof value !== 'object' || value === null) && typeof value !== 'function'

export class AnswerTable {
  readonly #listeners = new LazyMap<number, AnswerListeners>()
  /** Settled answers that are no primitives, in the order of the frames that contain their replies. */
  readonly #byFrame = new Queue<SettledAnswer>()
  readonly #primitives = new Queue<PrimitiveAnswers>()
  #lastPrimitives: PrimitiveAnswers | undefined
  /** Settled answers by number: from the first look-up until the table is empty. */
  #index: Map<number, Answer> | undefined
  /** Estimated bytes of the settled answers that were weighed; those of primitives apart, as they are many. */
  #settledBytes = 0
  #primitiveBytes = 0
  /** The last one is weighed when another settles: most are acknowledged before, and to weigh a long reply takes long. */
  #last: SettledAnswer | undefined

  /** An answer is kept if the answers before it take at most `maxBytes`. */
  constructor(private readonly maxBytes: number) {}

  /** Number of pending calls, and of answers that the peer has not acknowledged, without primitives. */
  get size(): number {
    return this.#listeners.size + this.#byFrame.size
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
    if (answer.ok && isPrimitive(answer.value)) this.#keepPrimitive(id, answer, frame)
    else {
      this.#weighLast()
      const isKept = this.#settledBytes <= this.maxBytes
      this.#last = {
        frame,
        id,
        answer: isKept ? answer : DROPPED_ANSWER,
        json: isKept ? json : '',
        weight: 0
      }
      this.#byFrame.push(this.#last)
      this.#index?.set(id, this.#last.answer)
    }
    const listeners = this.#listeners.get(id)
    if (!listeners) return
    this.#listeners.delete(id)
    for (const whenAnswered of listeners) whenAnswered(answer)
  }

  /** No call can build on a primitive, but arguments can refer to it. */
  #keepPrimitive(id: number, answer: SuccessfulAnswer, frame: number): void {
    if (this.#primitiveBytes > this.maxBytes) return
    const { value } = answer
    const bytes = PRIMITIVE_BYTES + (typeof value === 'string' ? 2 * value.length : 0)
    this.#primitiveBytes += bytes
    const last = this.#lastPrimitives
    if (last?.frame === frame) {
      last.ids.push(id)
      last.values.push(value)
      last.bytes += bytes
    } else {
      this.#lastPrimitives = { frame, ids: [id], values: [value], bytes }
      this.#primitives.push(this.#lastPrimitives)
    }
    this.#index?.set(id, answer)
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
    if (this.isPending(id)) return undefined
    this.#index ??= this.#createIndex()
    return this.#index.get(id) ?? DROPPED_ANSWER
  }

  #createIndex(): Map<number, Answer> {
    const index = new Map<number, Answer>()
    for (let i = 0; i < this.#byFrame.size; i++) {
      const { id, answer } = this.#byFrame.at(i)
      index.set(id, answer)
    }
    for (let i = 0; i < this.#primitives.size; i++) {
      const { ids, values } = this.#primitives.at(i)
      for (const [place, id] of ids.entries()) index.set(id, { ok: true, value: values[place] })
    }
    return index
  }

  /** Calls `use` with the answer of a pending call when it settles, in the order of these subscriptions. */
  whenAnswered(id: number, use: (answer: Answer) => void): void {
    this.#listeners.get(id)!.push(use)
  }

  /** Drops the answers in the first `frames` frames. The peer has received them, and no longer refers to them by call. */
  dropAcknowledged(frames: number): void {
    for (let next = this.#byFrame.first; next && next.frame <= frames; next = this.#byFrame.first) {
      this.#index?.delete(next.id)
      this.#settledBytes -= next.weight
      if (next === this.#last) this.#last = undefined
      this.#byFrame.shift()
    }
    for (let next = this.#primitives.first; next && next.frame <= frames; next = this.#primitives.first) {
      if (this.#index) for (const id of next.ids) this.#index.delete(id)
      this.#primitiveBytes -= next.bytes
      if (next === this.#lastPrimitives) this.#lastPrimitives = undefined
      this.#primitives.shift()
    }
    if (this.#byFrame.size + this.#primitives.size === 0) this.#index = undefined
  }

  clear(): void {
    this.#listeners.clear()
    this.#byFrame.clear()
    this.#primitives.clear()
    this.#index = this.#last = this.#lastPrimitives = undefined
    this.#settledBytes = this.#primitiveBytes = 0
  }
}
