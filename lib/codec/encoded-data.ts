// Encodes a value that is not sent to anybody: to store it, or to find out whether it is data only.

import { ignoreRejection } from '../util/promises.js'
import { ignoreRejections } from './dispose.js'
import { encodeValue } from './encode.js'
import type { EncodedReference, ReferenceEncoder } from './types.js'
import type { ValueRole } from './value-role.js'

export interface EncodedData {
  readonly json: string
  readonly hasAnnotations: boolean
  /** The byte ranges beside the JSON. */
  readonly bytes: readonly Uint8Array[]
  /** Whether the value holds no reference and no stream. */
  readonly isData: boolean
}

const PLACEHOLDER: EncodedReference = ['o', [0, '']]

/** @throws UnsendableError or LimitError if the value cannot be sent, and what one of its getters throws */
export function encodeData(
  value: unknown,
  role: ValueRole,
  boxing: ReferenceEncoder['encodeLimits']
): EncodedData {
  let isData = true
  const encodeReference = () => {
    isData = false
    return PLACEHOLDER
  }
  // A getter may have made a promise that nobody else handles.
  const encodeStream = (object: object) => {
    ignoreRejection(object)
    return encodeReference()
  }
  const { json, hasAnnotations, bytes } = encodeValue(value, role, {
    encodeLimits: boxing,
    encodeReference: encodeReference,
    encodeStream: encodeStream,
    encodeAnswer: () => undefined,
    rollback: () => undefined,
    dispose: ignoreRejections,
    isReleased: () => false
  })
  return { json, hasAnnotations, bytes, isData }
}
