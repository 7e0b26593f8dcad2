// What it costs to make a value of its text, beyond the length of that. Each message has an allowance of its own, which no
// clock fills again.

import { clock } from '../util/clock.js'

/** What one message may cost. One is about 50 ns: it is 20 ms. */
export const DECODE_BUDGET = 400_000

/** What is left of the allowance of one message. */
export class DecodeBudget {
  #remaining = DECODE_BUDGET

  /** Whether it may cost so much more; that is counted then. */
  trySpend(cost: number): boolean {
    this.#remaining -= cost
    return this.#remaining >= 0
  }
}

/** How a Date writes itself. Others are read by rules of old, which take longer. */
const ISO_DATE = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
/** The longest that a Date may be written. */
const MAX_DATE_CHARACTERS = 40

/** What it costs to read a leaf of that kind, written so. */
export function costOf(tag: string, text: string): number {
  switch (tag) {
    case 'bigint':
      return text.length ** 2 / 10_000
    case 'URL':
      return urlCost(text)
    case 'Date':
      return ISO_DATE.test(text) ? 0 : text.length <= MAX_DATE_CHARACTERS ? 30 : Number.POSITIVE_INFINITY
    default:
      return 0
  }
}

/** It was written as ASCII, where a long name of a host in other letters takes time that grows faster than the name. */
function urlCost(text: string): number {
  if (!/^[\0-\x7f]*$/.test(text)) return Number.POSITIVE_INFINITY
  return 60 + text.length / 10 + (/xn--/i.test(text) ? 60 + text.length ** 2 / 10_000 : 0)
}

/** How many keys are looked up to learn how long it takes, and how often. */
const SAMPLE = 32
const TRIES = 4
/** What is not usual any more for a key, in ms: of many keys some are not in the cache of the processor. */
const unusual = (count: number) => Math.min(0.0004 + count * 3e-7, 0.005)

/**
 * What it will cost to add so many keys to as many that are there. Numbers can be chosen so that all of them collide, in each engine others: it
 * shows in how long they take to find. The shortest of some tries counts, as much else takes time.
 */
export function costOfKeys(count: number, find: (index: number) => boolean): number {
  const most = SAMPLE * unusual(count)
  let least = Number.POSITIVE_INFINITY
  // Counted, so that no compiler takes the search for idle.
  let found = 0
  for (let tries = 0; tries < TRIES && least > most; tries++) {
    const began = clock.now()
    for (let i = 0; i < SAMPLE; i++) if (find(Math.floor(Math.random() * count))) found++
    least = Math.min(least, clock.now() - began)
  }
  return found > 0 && least > most ? (least / SAMPLE) * 20_000 * count * 1.5 : 0
}
