// The headers of Go's net/rpc: each call is a `Request` and its argument, each answer a `Response` and its result.

import { STRING, UINT } from './gob/basic-types.js'
import { StructType } from './gob/composite-types.js'
import type { GobValue } from './gob/decoder.js'
import { GobError } from './gob/gob-error.js'
import { isUint64 } from './gob/value-writer.js'

const METHOD = { name: 'ServiceMethod', type: STRING }
const SEQUENCE = { name: 'Seq', type: UINT }

export const REQUEST = new StructType('Request', [METHOD, SEQUENCE])
export const RESPONSE = new StructType('Response', [METHOD, SEQUENCE, { name: 'Error', type: STRING }])

export interface RequestHeader {
  readonly ServiceMethod: string
  /** The number of the call, which its answer repeats. */
  readonly Seq: number | bigint
}

export interface ResponseHeader extends RequestHeader {
  /** Empty for a call that did not fail. */
  readonly Error: string
}

const MAX_METHOD_CHARACTERS = 1000

/** @throws GobError if the value is no header */
export function readHeader({ value }: GobValue): ResponseHeader {
  const { ServiceMethod, Seq, Error: error = '' } = Object(value) as Partial<ResponseHeader>
  // The types are those that the peer defined: of a float, say, no answer could repeat the number.
  if (typeof ServiceMethod !== 'string' || typeof error !== 'string' || !isUint64(Seq))
    throw new GobError('a value that is no header of net/rpc')
  // An answer repeats it.
  if (ServiceMethod.length > MAX_METHOD_CHARACTERS)
    throw new GobError('the name of a method that is too long')
  return { ServiceMethod, Seq, Error: error }
}
