// What the calls under way hold: a peer decides on their arguments, and on how long they wait.
import { isPlainRecord } from './expose.js'
import { SparseMap } from './sparse-map.js'

// Estimates, in bytes: an entry of a list or record, a list or record itself, what has an identity, and what has queues.
const ENTRY = 16
const OBJECT = 64
const REFERENCE = 512
const FLOW = 4096
/** Less than that is bounded by the number of calls. */
const LEAST = 512

export class Weights {
  readonly #of = new SparseMap<number, number>()
  /** The sum, in bytes. */
  total = 0

  constructor(
    /** A larger operand counts as that many bytes. */
    private readonly most: number
  ) {}

  /** A call waits, or goes on: it holds its operand meanwhile. */
  hold(id: number, operand: unknown, bytes: readonly Uint8Array[]): void {
    const weight = footprintOf(operand, bytes, this.most)
    if (weight < LEAST) return
    this.free(id)
    this.#of.set(id, weight)
    this.total += weight
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

/** The estimated memory of an operand with the bytes beside it. Beyond `most` bytes it is not counted further. */
export function footprintOf(operand: unknown, bytes: readonly Uint8Array[], most: number): number {
  let weight = 0
  for (const { byteLength } of bytes) weight += byteLength
  const met = new Set<object>()
  const add = (part: unknown) => {
    weight += ENTRY
    if (typeof part === 'string') weight += part.length
    else if (typeof part === 'function') weight += REFERENCE
    else if (typeof part === 'object' && part !== null && met.size < met.add(part).size) weight += OBJECT
  }
  add(operand)
  // What is added to a set while it is gone through is gone through as well.
  for (const object of met) {
    const parts = partsOf(object)
    if (!parts) weight += (isFlow(object) ? FLOW : REFERENCE) - OBJECT
    else for (let i = 0; i < parts.length && weight <= most; i++) add(parts[i])
    if (weight > most) break
  }
  return weight
}

const isFlow = (object: object) =>
  object instanceof ReadableStream || object instanceof WritableStream || object instanceof AbortSignal

/** The parts of data; undefined for everything else, references included. */
function partsOf(object: object): readonly unknown[] | undefined {
  try {
    if (Array.isArray(object)) return object
    if (object instanceof Map) return [...object].flat()
    if (object instanceof Set) return [...object]
    return isPlainRecord(object) ? Object.values(object) : undefined
  } catch {
    // The method that was called may have given it an accessor that throws.
    return undefined
  }
}

/** What a value weighs at most for each character of its JSON, in bytes: an empty record with its comma. */
const PARSED = 28

/** What a value weighs that is written so: about, where it may be more than `room`; else no less than it weighs. */
export function weightOfJson(json: string, room: number): number {
  if (json.length * PARSED <= room) return json.length * PARSED
  let weight = json.length
  for (let i = 0; i < json.length; i++) {
    const character = json.charCodeAt(i)
    if (character === BRACKET || character === BRACE) weight += OBJECT
    else if (character === COMMA) weight += ENTRY
  }
  return weight
}

const BRACKET = 0x5b
const BRACE = 0x7b
const COMMA = 0x2c
