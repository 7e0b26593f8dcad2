// What crosses for a value, looked at where nothing is sent: whether it is data through and through, and its size.

import { ignoreRejection } from '../util/promises.js'
import { ignoreRejections } from './dispose.js'
import { encodeValue } from './encode.js'
import type { EncodedReference, Giver } from './types.js'

export interface EncodedData {
  readonly json: string
  /** The bytes beside the JSON. */
  readonly bytes: readonly Uint8Array[]
  /** Whether it holds no reference, and nothing with a flow. */
  readonly isData: boolean
}

const PLACEHOLDER: EncodedReference = ['o', [0, '']]

/** @throws UnsendableError or LimitError where it cannot cross, and what a getter in it throws */
export function encodeData(value: unknown, name: string, boxing: Giver['encodeLimits']): EncodedData {
  let isData = true
  const encodeReference = () => {
    isData = false
    return PLACEHOLDER
  }
  // A getter may make a promise for this look alone.
  const encodeStream = (object: object) => {
    ignoreRejection(object)
    return encodeReference()
  }
  const { json, bytes } = encodeValue(value, name, {
    encodeLimits: boxing,
    encodeReference: encodeReference,
    encodeStream: encodeStream,
    rollback: () => undefined,
    dispose: ignoreRejections,
    isReleased: () => false
  })
  return { json, bytes, isData }
}
