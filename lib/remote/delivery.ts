// The references that came in one message. Those that nobody will ever have are given back at once, not when the collector
// of this side finds them.

import { loosen } from './collection-pressure.js'
import type { Ref } from './proxy.js'

/** What was lent for the call. Without a `ref` there was no room for it, or nobody to have it. */
export interface Loan {
  readonly id: number
  readonly ref: Ref | undefined
}

/** A promise or signal: what it comes to is kept as long as calls hold it. */
interface Holdable {
  hold(): void
  letGo(): void
}

/** Where receipts are given back. */
interface Receipts {
  /** One receipt of a netref came for nobody. */
  decline(ref: Ref): void
  /** The call is over, and has an answer or none. */
  settle(loan: Loan, answered: boolean): void
}

/** Whoever drops it has handed over what is in it: from then on that is the user's, and the collector's. */
export class Delivery {
  /** Each netref as often as it came, with the first step of the way to it. */
  #refs: { readonly ref: Ref; readonly step: unknown }[] = []
  #loans: Loan[] | undefined
  #held: Holdable[] | undefined
  #handedOver = false

  constructor(private readonly receipts: Receipts) {}

  add(ref: Ref, step: unknown): void {
    this.#refs.push({ ref, step })
  }

  lend(id: number, ref: Ref | undefined): void {
    if (ref) ref.lent++
    this.#loans ??= []
    this.#loans.push({ id, ref })
  }

  /** A promise or signal: what it comes to is kept until `letGo`. */
  hold(once: Holdable): void {
    once.hold()
    this.#held ??= []
    this.#held.push(once)
  }

  letGo(): void {
    for (const once of this.#held ?? []) once.letGo()
    this.#held = undefined
  }

  /** A user's code has it. */
  handOver(): void {
    this.#handedOver = true
  }

  /** What came in one item of a list: it is no part of this any more. */
  take(item: number): Delivery {
    const taken = new Delivery(this.receipts)
    taken.#refs = this.#refs.filter(({ step }) => step === item)
    this.#refs = this.#refs.filter(({ step }) => step !== item)
    return taken
  }

  /** Nobody will have what was not handed over. */
  giveBack(): void {
    if (this.#handedOver) return
    const refs = this.#refs
    this.#refs = []
    for (const { ref } of refs) this.receipts.decline(ref)
  }

  /** The call that it came with is over. What a user's code had of it may be nobody's now. */
  over(answered = true): void {
    this.letGo()
    this.giveBack()
    for (const { ref } of this.#refs) if (!ref.released) loosen(ref)
    for (const loan of this.#loans ?? []) this.receipts.settle(loan, answered)
  }
}
