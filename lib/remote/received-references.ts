// The references of one message. Those that no user code gets are released immediately, not by the garbage collector.

import { addCandidate } from './collection-pressure.js'
import type { Reference } from './proxy.js'

/**
 * A reference that was lent for the call. `reference` is undefined if the import table was full, or the value
 * discarded.
 */
export interface Loan {
  readonly id: number
  readonly reference: Reference | undefined
}

/** A promise or signal, which retains its outcome for pending calls. */
interface Retainable {
  retain(): void
  releaseRetained(): void
}

/** The part of `References` that counts references. */
interface ReferenceCounts {
  /** One reference to a netref arrived that no user code gets. */
  discardOne(reference: Reference): void
  /** The call that it was lent for has ended, with or without a reply. */
  endLoan(loan: Loan, answered: boolean): void
}

/**
 * The references of one message, until user code gets them. From then on the user and the garbage collector hold them.
 */
export class ReceivedReferences {
  /** Each received netref, as often as the message contains it, with the first key of its path in the value. */
  #references: { readonly reference: Reference; readonly firstKey: unknown }[] = []
  #loans: Loan[] | undefined
  #retainedOutcomes: Retainable[] | undefined
  #passedToUser = false

  constructor(private readonly counts: ReferenceCounts) {}

  add(reference: Reference, firstKey: unknown): void {
    this.#references.push({ reference, firstKey })
  }

  addLoan(id: number, reference: Reference | undefined): void {
    if (reference) reference.lentCount++
    this.#loans ??= []
    this.#loans.push({ id, reference })
  }

  /** Retains the outcome of a promise or signal until `releaseOutcomes`. */
  retainOutcome(outcome: Retainable): void {
    outcome.retain()
    this.#retainedOutcomes ??= []
    this.#retainedOutcomes.push(outcome)
  }

  releaseOutcomes(): void {
    for (const outcome of this.#retainedOutcomes ?? []) outcome.releaseRetained()
    this.#retainedOutcomes = undefined
  }

  /** User code gets the references: `discard` does not release them any more. */
  markPassedToUser(): void {
    this.#passedToUser = true
  }

  /** Separates the references of one item of a list. */
  split(index: number): ReceivedReferences {
    const part = new ReceivedReferences(this.counts)
    part.#references = this.#references.filter(({ firstKey }) => firstKey === index)
    this.#references = this.#references.filter(({ firstKey }) => firstKey !== index)
    return part
  }

  /** Releases the references, unless user code got them. */
  discard(): void {
    if (this.#passedToUser) return
    const references = this.#references
    this.#references = []
    for (const { reference } of references) this.counts.discardOne(reference)
  }

  /** The call that they came with has ended. Those that user code got may be unreachable now. */
  endCall(isAnswered = true): void {
    this.releaseOutcomes()
    this.discard()
    for (const { reference } of this.#references) if (!reference.released) addCandidate(reference)
    for (const loan of this.#loans ?? []) this.counts.endLoan(loan, isAnswered)
  }
}
