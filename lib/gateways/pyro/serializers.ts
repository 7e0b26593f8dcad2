// The serializers that a client may choose: serpent, which is Pyro's default, and JSON.

import type { Limits } from '../../protocol/limits.js'
import { parseJson } from '../support/json-text.js'
import { toJsonText } from '../support/json-value.js'
import type { Protocol } from './protocol.js'
import { readSerpent } from './serpent-reader.js'
import { toSerpent, toSerpentList, type WriteLimits } from './serpent-writer.js'

export type SerializerLimits = Pick<Limits, 'depth' | 'jsonBytes' | 'frameBytes' | 'bigintDigits' | 'values'>

/** Reads and writes the data of messages. */
export interface Serializer {
  readonly id: number
  /** @throws SerpentError or SyntaxError for data that is malformed or beyond the limits */
  read(data: Buffer, limits: SerializerLimits): unknown
  /** The object, the method, the arguments and the keyword arguments of a call. They are not validated. */
  partsOfCall(data: unknown): readonly unknown[]
  /**
   * @param path names the value in errors
   * @throws NoFormError, LimitError
   */
  write(value: unknown, path: readonly (string | number)[], limits: WriteLimits): string
  /** The list of values that were written. */
  writeList(texts: readonly string[]): string
}

/** Limits of what the gateway itself says, which is bounded elsewhere: it must have a form whatever the limits of the server. */
export const OWN_LIMITS: WriteLimits = {
  depth: 32,
  jsonBytes: Number.MAX_SAFE_INTEGER,
  frameBytes: 0
}

/** Depth of the arguments in a batch. */
const CALL_LEVELS = 4

const SERPENT: Serializer = {
  id: 1,
  read: (data, limits) => readSerpent(data, limits.depth + CALL_LEVELS, limits),
  partsOfCall: data => (Array.isArray(data) ? data : []),
  write: toSerpent,
  writeList: toSerpentList
}

const jsonSerializer = (id: number): Serializer => ({
  id,
  read: (data, { depth, jsonBytes }) => {
    if (data.length > jsonBytes) throw new SyntaxError('the text is too long (limits.jsonBytes)')
    return parseJson(data, depth + CALL_LEVELS)
  },
  partsOfCall: data => {
    const { object, method, params, kwargs } = Object(data)
    return [object, method, params, kwargs]
  },
  write: (value, path, limits) => toJsonText(value, path, limits, 'JSON'),
  writeList: texts => `[${texts.join(',')}]`
})

/** By the ids of a version. Data that no serializer can be found for is answered by serpent, which each client has. */
export class Serializers {
  readonly #byId: ReadonlyMap<number, Serializer>
  readonly standard = SERPENT

  constructor({ jsonId }: Pick<Protocol, 'jsonId'>) {
    this.#byId = new Map([SERPENT, jsonSerializer(jsonId)].map(serializer => [serializer.id, serializer]))
  }

  get(id: number): Serializer | undefined {
    return this.#byId.get(id)
  }
}
