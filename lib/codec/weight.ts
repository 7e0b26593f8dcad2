// What is kept of what a peer sends: it decides on the arguments of its calls, and on how long they wait. It is told by the
// text that it came in, as that takes no walk over values, and misses nothing.
import { findStringEnd } from '../protocol/depth.js'
import type { Annotations } from '../protocol/messages.js'
import { LazyMap } from '../util/lazy-map.js'
import { valueWeight } from './classify.js'

// Estimates, in bytes: an entry of a list or record, a list or record itself, and what has an identity.
const ENTRY_BYTES = 16
const OBJECT_BYTES = 64
const REFERENCE_BYTES = 512
/** Less than that is bounded by the number of calls. */
export const MIN_TRACKED_BYTES = 512
/** What a value weighs at most for each character of its JSON, in bytes: an empty record with its comma. */
const MAX_BYTES_PER_CHARACTER = 28

const [QUOTE, COMMA, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [34, 44, 91, 93, 123, 125]

export class HeldBytes {
  readonly #byCall = new LazyMap<number, number>()
  /** The sum, in bytes. */
  total = 0

  /** A call waits, or goes on: it holds so much more meanwhile. */
  hold(id: number, bytes: number): void {
    if (bytes < MIN_TRACKED_BYTES) return
    this.#byCall.set(id, (this.#byCall.get(id) ?? 0) + bytes)
    this.total += bytes
  }

  /** What a call holds; undefined where that is little. */
  ofCall(id: number): number | undefined {
    return this.#byCall.get(id)
  }

  /** The call is over, or does not hold it any more. */
  release(id: number): void {
    const bytes = this.#byCall.get(id)
    if (bytes === undefined) return
    this.#byCall.delete(id)
    this.total -= bytes
  }

  clear(): void {
    this.#byCall.clear()
    this.total = 0
  }
}

/** How long a text is; and about what the values weigh that are made of it, in bytes. */
export interface MessageSize {
  readonly characters: number
  readonly bytes: number
}

/** The messages of a frame, but for what `weightOfGroups` tells of them. */
export const estimateMessages = (frame: string): readonly MessageSize[] => estimateContainers(frame, 2)

/** About what the values in groups weigh beside their text. */
export function estimateAnnotations(annotations: Annotations | undefined): number {
  let values = 0
  for (const { 0: kind, length } of annotations ?? []) values += (length - 1) * valueWeight(kind)
  return values * REFERENCE_BYTES
}

/** What a value weighs that is written so: about, where it may be more than `room`; else no less than it weighs. */
export function estimateJson(json: string, room: number): number {
  if (json.length * MAX_BYTES_PER_CHARACTER <= room) return json.length * MAX_BYTES_PER_CHARACTER
  return estimateContainers(`[${json}]`, 0)[0]!.bytes
}

/** The lists and records that stand so deep in a text. */
function estimateContainers(json: string, depth: number): MessageSize[] {
  const found: MessageSize[] = []
  let level = 0
  let parts = 0
  let start = 0
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i)
    if (char === QUOTE) i = findStringEnd(json, i)
    else if (char === COMMA) parts += ENTRY_BYTES
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      if (level++ === depth) {
        start = i
        parts = 0
      }
      parts += OBJECT_BYTES
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) {
      const length = i + 1 - start
      if (--level === depth) found.push({ characters: length, bytes: length + parts })
    }
  }
  return found
}
