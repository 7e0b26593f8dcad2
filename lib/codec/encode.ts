// Values → JSON and bytes: what is plain JSON as it is, and what is not marked, kind by kind.
//
//   payload  json                what is plain JSON as it stands
//            json,[group, …]     a group is [kind, path, path, …]; at each path stands a placeholder with the data
//
// Kinds: 'o' an object, 'f' a function, 'h' one of the receiver's own; 'm' Map, 's' Set, 'e' Error; 't' a list of records,
// as a table; 'b' the next range of the bytes; 'c' a container that stands elsewhere, too: a cycle; ['custom', name] a
// registered type; of what has a flow of its own 'i' an iterator, 'r' a stream to read, 'w' one to write, 'd' both, 'p' a
// promise, 'a' an abort signal; else a leaf of superjson's. Groups stand in the order in which they are to be applied: what
// is inside a container before it.

import { isJsonPrimitive } from './classify.js'
import { Encoder } from './encoder.js'
import type { Payload, Giver as ReferenceEncoder } from './types.js'

const EMPTY_LIST: readonly never[] = []
const plainPayload = (json: string): Payload => ({
  json,
  hasAnnotations: false,
  bytes: EMPTY_LIST,
  references: EMPTY_LIST,
  lent: true
})

/**
 * What crosses for the arguments of a call, or a list of that name.
 *
 * @throws UnsendableError naming the path to what cannot travel; LimitError for more than the peer takes. Nothing stays
 * given then.
 */
export function encodeArguments(args: unknown[], references: ReferenceEncoder, name = 'args'): Payload {
  let list = ''
  for (const arg of args) {
    if (!isJsonPrimitive(arg)) return new Encoder(name, references, true).encode(args)
    list += list === '' ? primitiveToJson(arg) : `,${primitiveToJson(arg)}`
  }
  return plainPayload(`[${list}]`)
}

/**
 * What crosses for one value. `name` is what errors call it; `self` is set for a member function.
 *
 * @throws UnsendableError naming the path to what cannot travel; LimitError for more than the peer takes. Nothing stays
 * given then.
 */
export function encodeValue(
  value: unknown,
  name: string,
  references: ReferenceEncoder,
  self?: object
): Payload {
  return isJsonPrimitive(value)
    ? plainPayload(primitiveToJson(value))
    : new Encoder(name, references).encode(value, self)
}

/** The JSON of a plain primitive. */
const primitiveToJson = (value: string | number | boolean | null): string =>
  typeof value === 'string' ? JSON.stringify(value) : String(value)
