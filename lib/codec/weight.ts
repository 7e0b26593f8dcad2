// What is kept of what a peer sends: it decides on the arguments of its calls, and on how long they wait. It is told by the
// text that it came in, as that takes no walk over values, and misses nothing.
import { endOfString } from '../protocol/depth.js'
import type { Groups } from '../protocol/messages.js'
import { SparseMap } from '../util/lazy-map.js'
import { weightOf } from './classify.js'

// Estimates, in bytes: an entry of a list or record, a list or record itself, and what has an identity.
const ENTRY = 16
const OBJECT = 64
const REFERENCE = 512
/** Less than that is bounded by the number of calls. */
export const LEAST = 512
/** What a value weighs at most for each character of its JSON, in bytes: an empty record with its comma. */
const PARSED = 28

const [QUOTE, COMMA, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [34, 44, 91, 93, 123, 125]

export class Weights {
  readonly #of = new SparseMap<number, number>()
  /** The sum, in bytes. */
  total = 0

  /** A call waits, or goes on: it holds so much more meanwhile. */
  hold(id: number, weight: number): void {
    if (weight < LEAST) return
    this.#of.set(id, (this.#of.get(id) ?? 0) + weight)
    this.total += weight
  }

  /** What a call holds; undefined where that is little. */
  of(id: number): number | undefined {
    return this.#of.get(id)
  }

  /** The call is over, or does not hold it any more. */
  free(id: number): void {
    const weight = this.#of.get(id)
    if (weight === undefined) return
    this.#of.delete(id)
    this.total -= weight
  }

  clear(): void {
    this.#of.clear()
    this.total = 0
  }
}

/** How long a text is; and about what the values weigh that are made of it, in bytes. */
export interface Weighed {
  readonly length: number
  readonly weight: number
}

/** The messages of a frame, but for what `weightOfGroups` tells of them. */
export const weighMessages = (frame: string): readonly Weighed[] => weighLists(frame, 2)

/** About what the values in groups weigh beside their text. */
export function weightOfGroups(groups: Groups | undefined): number {
  let values = 0
  for (const { 0: kind, length } of groups ?? []) values += (length - 1) * weightOf(kind)
  return values * REFERENCE
}

/** What a value weighs that is written so: about, where it may be more than `room`; else no less than it weighs. */
export function weightOfJson(json: string, room: number): number {
  if (json.length * PARSED <= room) return json.length * PARSED
  return weighLists(`[${json}]`, 0)[0]!.weight
}

/** The lists and records that stand so deep in a text. */
function weighLists(json: string, depth: number): Weighed[] {
  const found: Weighed[] = []
  let level = 0
  let parts = 0
  let start = 0
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i)
    if (char === QUOTE) i = endOfString(json, i)
    else if (char === COMMA) parts += ENTRY
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      if (level++ === depth) {
        start = i
        parts = 0
      }
      parts += OBJECT
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) {
      const length = i + 1 - start
      if (--level === depth) found.push({ length, weight: length + parts })
    }
  }
  return found
}
