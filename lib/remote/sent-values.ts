// Copies values that this side has sent: what the peer would send back.

import { decode } from '../codec/decode.js'
import { ANSWER_TAG, type Payload, type ReferenceDecoder, type ReferenceTag } from '../codec/types.js'
import { CallRejection } from '../errors.js'
import type { Annotations } from '../protocol/messages.js'
import type { Reference } from './proxy.js'
import type { ExportTable, ImportTable } from './tables.js'

/** The two tables of a session. */
interface ReferenceTables {
  readonly exports: ExportTable
  readonly imports: ImportTable<object, Reference>
  valuesDecoded(count: number): void
}

const NOT_COPIED: ReadonlySet<unknown> = new Set([ANSWER_TAG, 'r', 'w'])

/**
 * A copy of the data that a payload of this side has, with the original objects.
 *
 * @throws CallRejection if it has a part that can be sent only once, or that was released
 */
export function copySentValue(
  { json, hasAnnotations, bytes, references }: Payload,
  tables: ReferenceTables
): unknown {
  if (references.some(([tag]) => NOT_COPIED.has(tag)))
    throw new CallRejection(
      'unsendable',
      'a result that the arguments refer to has a stream or a pending result in it: await it first'
    )
  const [value, annotations] = JSON.parse(`[${json}]`) as [unknown, Annotations?]
  if (!hasAnnotations) return value
  try {
    const copies = bytes.map(range => range.slice())
    return decode(value, annotations, copies, new SentValueDecoder(tables))
  } catch (error) {
    if (error instanceof CallRejection) throw error
    // Its bytes were transferred.
    throw new CallRejection('unsendable', `a result that the arguments refer to was sent away: ${error}`)
  }
}

class SentValueDecoder implements ReferenceDecoder {
  readonly limits = {
    values: Number.POSITIVE_INFINITY,
    bigintDigits: Number.POSITIVE_INFINITY,
    regExpLength: Number.POSITIVE_INFINITY
  }

  constructor(private readonly tables: ReferenceTables) {}

  decodeReference(tag: ReferenceTag, data: unknown): unknown {
    const { exports, imports } = this.tables
    const found =
      tag === 'h' ? imports.get(data as number)?.proxy : exports.get((data as [number])[0])?.object
    if (found) return found
    throw new CallRejection(
      'released',
      'a result that the arguments refer to has a reference that was released'
    )
  }

  discardReference(): void {}

  discardReceived(): void {}

  valuesDecoded(count: number): void {
    this.tables.valuesDecoded(count)
  }
}
