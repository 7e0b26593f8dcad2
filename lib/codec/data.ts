// What crosses for a value, looked at where nothing is sent: whether it is data through and through, and its size.

import { silence } from '../util/promises.js'
import { silenceAll } from './dispose.js'
import { boxValue } from './encode.js'
import type { Given, Giver } from './types.js'

export interface Data {
  readonly json: string
  /** The bytes beside the JSON. */
  readonly bytes: readonly Uint8Array[]
  /** Whether it holds no reference, and nothing with a flow. */
  readonly isData: boolean
}

const REFERENCE: Given = ['o', [0, '']]

/** @throws UnsendableError or LimitError where it cannot cross, and what a getter in it throws */
export function dataOf(value: unknown, name: string, boxing: Giver['boxing']): Data {
  let isData = true
  const give = () => {
    isData = false
    return REFERENCE
  }
  // A getter may make a promise for this look alone.
  const giveFlow = (object: object) => {
    silence(object)
    return give()
  }
  const { json, bytes } = boxValue(value, name, {
    boxing,
    give,
    giveFlow,
    takeBack: () => undefined,
    letGo: silenceAll,
    isReleased: () => false
  })
  return { json, bytes, isData }
}
