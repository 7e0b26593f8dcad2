// Estimates the memory of values that a peer sent, from their JSON text: this needs no walk over the values, and misses none.
import { findStringEnd } from '../protocol/json-depth.js'
import { valueWeight } from '../protocol/limits.js'
import type { Annotations } from '../protocol/messages.js'
import { LazyMap } from '../util/lazy-map.js'

// Estimates: an entry of an array or object, an array or object, and a tagged value.
const ENTRY_BYTES = 16
const OBJECT_BYTES = 64
const REFERENCE_BYTES = 512
/** Smaller calls are bounded by their number. */
export const MIN_TRACKED_BYTES = 512
/** Most bytes that a value takes per character of JSON: that of an empty object and its comma. */
const MAX_BYTES_PER_CHARACTER = 28

const [QUOTE, COMMA, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [34, 44, 91, 93, 123, 125]

/** Bytes that the pending calls of a peer hold. */
export class HeldBytes {
  readonly #byCall = new LazyMap<number, number>()
  /** Bytes of all calls. */
  total = 0

  /** Adds bytes that a call holds. */
  hold(id: number, bytes: number): void {
    if (bytes < MIN_TRACKED_BYTES) return
    this.#byCall.set(id, (this.#byCall.get(id) ?? 0) + bytes)
    this.total += bytes
  }

  /** Bytes of a call; undefined if they are few. */
  ofCall(id: number): number | undefined {
    return this.#byCall.get(id)
  }

  /** Removes the bytes of a call. */
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

/** The length of a message's JSON, and the estimated bytes of its values. */
export interface MessageSize {
  readonly characters: number
  readonly bytes: number
}

/** Sizes of the messages of a frame, without their tagged values. */
export const estimateMessages = (frame: string): readonly MessageSize[] => estimateContainers(frame, 2)

/** Estimated bytes of tagged values. */
export function estimateAnnotations(annotations: Annotations | undefined): number {
  let values = 0
  for (const { 0: kind, length } of annotations ?? []) values += (length - 1) * valueWeight(kind)
  return values * REFERENCE_BYTES
}

/** Estimated bytes of a value: exact enough if they may exceed `room`, else an upper bound. */
export function estimateJson(json: string, room: number): number {
  if (json.length * MAX_BYTES_PER_CHARACTER <= room) return json.length * MAX_BYTES_PER_CHARACTER
  return estimateContainers(`[${json}]`, 0)[0]!.bytes
}

/** Sizes of the arrays and objects at a depth of a JSON text. */
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
