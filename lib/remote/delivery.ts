// The references that came in one message. Those that nobody will ever have are given back at once, not when the collector
// of this side finds them.

import { addCandidate } from './collection-pressure.js'
import type { Reference } from './proxy.js'

/** What was lent for the call. Without a `ref` there was no room for it, or nobody to have it. */
export interface Loan {
  readonly id: number
  readonly reference: Reference | undefined
}

/** A promise or signal: what it comes to is kept as long as calls hold it. */
interface Holdable {
  retain(): void
  releaseRetained(): void
}

/** Where receipts are given back. */
interface ReferenceCounts {
  /** One receipt of a netref came for nobody. */
  discardOne(ref: Reference): void
  /** The call is over, and has an answer or none. */
  endLoan(loan: Loan, answered: boolean): void
}

/** Whoever drops it has handed over what is in it: from then on that is the user's, and the collector's. */
export class ReceivedReferences {
  /** Each netref as often as it came, with the first step of the way to it. */
  #references: { readonly reference: Reference; readonly firstKey: unknown }[] = []
  #loans: Loan[] | undefined
  #retainedOutcomes: Holdable[] | undefined
  #passedToUser = false

  constructor(private readonly counts: ReferenceCounts) {}

  add(ref: Reference, step: unknown): void {
    this.#references.push({ reference: ref, firstKey: step })
  }

  addLoan(id: number, ref: Reference | undefined): void {
    if (ref) ref.lentCount++
    this.#loans ??= []
    this.#loans.push({ id, reference: ref })
  }

  /** A promise or signal: what it comes to is kept until `letGo`. */
  retainOutcome(outcome: Holdable): void {
    outcome.retain()
    this.#retainedOutcomes ??= []
    this.#retainedOutcomes.push(outcome)
  }

  releaseOutcomes(): void {
    for (const outcome of this.#retainedOutcomes ?? []) outcome.releaseRetained()
    this.#retainedOutcomes = undefined
  }

  /** A user's code has it. */
  markPassedToUser(): void {
    this.#passedToUser = true
  }

  /** What came in one item of a list: it is no part of this any more. */
  split(index: number): ReceivedReferences {
    const part = new ReceivedReferences(this.counts)
    part.#references = this.#references.filter(({ firstKey }) => firstKey === index)
    this.#references = this.#references.filter(({ firstKey }) => firstKey !== index)
    return part
  }

  /** Nobody will have what was not handed over. */
  discard(): void {
    if (this.#passedToUser) return
    const references = this.#references
    this.#references = []
    for (const { reference } of references) this.counts.discardOne(reference)
  }

  /** The call that it came with is over. What a user's code had of it may be nobody's now. */
  endCall(isAnswered = true): void {
    this.releaseOutcomes()
    this.discard()
    for (const { reference } of this.#references) if (!reference.released) addCandidate(reference)
    for (const loan of this.#loans ?? []) this.counts.endLoan(loan, isAnswered)
  }
}
