// Encodes what an operation takes: arguments, a value, or nothing.

import { encodeArguments, encodeValue } from '../codec/encode.js'
import type { Payload } from '../codec/types.js'
import { VALUE } from '../codec/value-role.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { References } from '../remote/references.js'

/** @throws UnserializableError, LimitError */
export function encodeOperand(
  op: OperationCode,
  operand: unknown,
  references: References
): Payload | undefined {
  switch (op) {
    case Op.call:
    case Op.construct:
    case Op.oneway:
      return encodeArguments(operand as unknown[], references)
    case Op.set:
    case Op.streamCall:
      return encodeValue(operand, VALUE, references)
    default:
      return undefined
  }
}

/** @returns undefined if the operand cannot be encoded again, e.g. since a buffer was transferred */
export function tryEncodeOperand(...call: Parameters<typeof encodeOperand>): Payload | undefined {
  try {
    return encodeOperand(...call)
  } catch {
    return undefined
  }
}
