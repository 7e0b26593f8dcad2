// The words of RPyC's protocol: its requests, the labels of boxed values, and the identity of objects.
import type { BrineValue } from './brine.js'

/** The requests of RPyC, by the name of their handler. */
export const Handler = {
  ping: 1,
  close: 2,
  getRoot: 3,
  getAttribute: 4,
  deleteAttribute: 5,
  setAttribute: 6,
  call: 7,
  callAttribute: 8,
  repr: 9,
  str: 10,
  compare: 11,
  hash: 12,
  dir: 13,
  pickle: 14,
  delete: 15,
  inspect: 16,
  buffiter: 17,
  oldSlicing: 18,
  contextExit: 19,
  instanceCheck: 20
} as const

export type HandlerCode = (typeof Handler)[keyof typeof Handler]

/** How a value is passed. `local` is an object of the receiver, `remote` one of the sender. */
export const Label = { value: 1, tuple: 2, local: 3, remote: 4 } as const

/** Identifies an object: name of its class, id of the class, id of the object. The last id of a class is 0. */
export type IdPack = readonly [name: string, classId: number | bigint, id: number | bigint]

/** A value with the label that says how it is passed. */
export type Boxed = readonly [label: (typeof Label)[keyof typeof Label], value: unknown]

/** Equal for packs of the same object. */
export const packKey = ([name, classId, id]: IdPack): string => `${id} ${classId} ${name}`

/** What a peer sent is not of the protocol: the connection ends. */
export class RpycProtocolError extends Error {
  override name = 'RpycProtocolError'
}

/**
 * Checks a boxed value, at any depth.
 *
 * @throws RpycProtocolError
 */
export function parseBoxed(boxed: unknown): Boxed {
  if (!isTuple(boxed, 2)) throw new RpycProtocolError('a value without a label')
  const [label, value] = boxed
  if (label === Label.local || label === Label.remote) parsePack(value)
  else if (label === Label.tuple && Array.isArray(value)) for (const item of value) parseBoxed(item)
  else if (label !== Label.value) throw new RpycProtocolError(`a value with the label ${String(label)}`)
  return boxed as unknown as Boxed
}

/** @throws RpycProtocolError */
export function parsePack(value: unknown): IdPack {
  if (isTuple(value, 3) && isName(value[0]) && isId(value[1]) && isId(value[2]))
    return value as unknown as IdPack
  throw new RpycProtocolError('a reference without a name and two ids')
}

export const isTuple = (value: unknown, length: number): value is readonly BrineValue[] =>
  Array.isArray(value) && value.length === length

/** Maximum length of the name of a class. */
const MAX_NAME = 1000
/** Ids are addresses. */
const ID_BITS = 128

const isName = (value: unknown): boolean => typeof value === 'string' && value.length <= MAX_NAME
const isId = (value: unknown): boolean =>
  Number.isSafeInteger(value) || (typeof value === 'bigint' && BigInt.asIntN(ID_BITS, value) === value)
