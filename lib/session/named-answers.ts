// The answers that the arguments of a call, or a result, name: copies of their values take the places of the names.

import type { IncompleteValue } from '../codec/decode.js'
import { estimateJson, MIN_TRACKED_BYTES } from '../codec/memory-estimate.js'
import type { Payload } from '../codec/types.js'
import { CallRejection } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import type { References } from '../remote/references.js'
import { copySentValue } from '../remote/sent-values.js'
import type { Answer, AnswerTable } from './answers.js'

/** Counts the estimated bytes of a copy. @throws CallRejection if too many are held */
export type CountCopy = (bytes: number) => void

export class NamedAnswers {
  /** The outcomes, by place. A value is copied as soon as it is there: its references are in the tables then. */
  readonly #outcomes: Answer[] = []
  #pendingCount = 0
  #onSettled!: () => void
  /** Characters of JSON, and bytes, that all copies may have: as many as a message of the peer. */
  #remainingCharacters: number
  #remainingBytes: number

  constructor(
    private readonly incomplete: IncompleteValue,
    answers: AnswerTable,
    private readonly references: References,
    limits: Limits,
    private readonly countCopy: CountCopy
  ) {
    this.#remainingCharacters = limits.jsonBytes
    this.#remainingBytes = limits.frameBytes
    for (const [place, id] of incomplete.answerIds.entries()) {
      const answer = answers.settledAnswer(id)
      if (answer) this.#copy(place, answer)
      else {
        this.#pendingCount++
        answers.whenAnswered(id, answer => {
          this.#copy(place, answer)
          if (--this.#pendingCount === 0) this.#onSettled()
        })
      }
    }
  }

  /** Whether an answer is pending. */
  get isWaiting(): boolean {
    return this.#pendingCount > 0
  }

  /** Calls `listener`, the only one, when the last pending answer settles. */
  onSettled(listener: () => void): void {
    this.#onSettled = listener
  }

  #copy(place: number, answer: Answer): void {
    try {
      const payload = answer.ok ? answer.payload : undefined
      this.#outcomes[place] = payload ? { ok: true, value: this.#copyPayload(payload) } : answer
    } catch (error) {
      this.#outcomes[place] = { ok: false, error }
    }
  }

  #copyPayload(payload: Payload): unknown {
    const { json, bytes } = payload
    const size = bytes.reduce((sum, { byteLength }) => sum + byteLength, 0)
    this.#remainingCharacters -= json.length
    this.#remainingBytes -= size
    if (this.#remainingCharacters < 0 || this.#remainingBytes < 0)
      throw new CallRejection(
        'limit',
        'the results that the arguments refer to are larger than a message may be (limits.jsonBytes, limits.frameBytes): await them first'
      )
    this.countCopy(size + estimateJson(json, MIN_TRACKED_BYTES))
    return copySentValue(payload, this.references)
  }

  /** The whole value, or the first error. To be called once, when no answer is pending. */
  outcome(): Answer {
    const failed = this.#outcomes.find(({ ok }) => !ok)
    if (failed) return failed
    try {
      const values = this.#outcomes.map(outcome => (outcome as { value: unknown }).value)
      return { ok: true, value: this.incomplete.complete(values) }
    } catch (error) {
      return { ok: false, error }
    }
  }
}
