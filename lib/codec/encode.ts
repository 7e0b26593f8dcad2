// Encodes values into payloads: JSON, annotations of what is not plain JSON, and bytes.
//
//   payload  json                    a value that is plain JSON
//            json,[annotation, …]    an annotation is [type tag, path, path, …]: each path leads to a tagged value
//
// Type tags:
//   'o' object, 'f' function, 'h' object or function of the receiver, 'n' answer of the receiver to a call of the sender
//   'i' iterator, 'r' readable stream, 'w' writable stream, 'd' both in a pair, 'p' promise, 'a' abort signal
//   'm' Map, 's' Set, 'e' Error, 't' array of records as a table, 'c' container that is elsewhere, too (a cycle)
//   'b' next byte range, ['custom', name] registered type; all others are leaves (`leaves.ts`)
// Annotations are in the order in which the decoder applies them: values inside a container before the container.

import { isJsonPrimitive } from './classify.js'
import { Encoder } from './encoder.js'
import { plainPayload } from './payload-builder.js'
import type { Payload, ReferenceEncoder } from './types.js'
import { ARGUMENTS, type ValueRole } from './value-role.js'

/**
 * Encodes the arguments of a call, or another list.
 *
 * @throws UnsendableError with the path to a value that cannot be sent; LimitError beyond a limit of the peer. All
 * references are rolled back then.
 */
export function encodeArguments(args: unknown[], references: ReferenceEncoder, role = ARGUMENTS): Payload {
  let list = ''
  for (const arg of args) {
    if (!isJsonPrimitive(arg)) return new Encoder(role, references, true).encode(args)
    list += list === '' ? primitiveToJson(arg) : `,${primitiveToJson(arg)}`
  }
  return plainPayload(`[${list}]`)
}

/**
 * Encodes one value.
 *
 * @param self the object whose member the value is, if it is a function
 * @throws UnsendableError and LimitError as `encodeArguments` does
 */
export function encodeValue(
  value: unknown,
  role: ValueRole,
  references: ReferenceEncoder,
  self?: object
): Payload {
  return isJsonPrimitive(value)
    ? plainPayload(primitiveToJson(value))
    : new Encoder(role, references).encode(value, self)
}

const primitiveToJson = (value: string | number | boolean | null): string =>
  typeof value === 'string' ? JSON.stringify(value) : String(value)
