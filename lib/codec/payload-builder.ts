// Collects what the encoder makes of a value beside its JSON: annotations, bytes and references; and knows the present path.

import { LimitError, UnsendableError } from '../errors.js'
import { formatJsonPath } from '../protocol/format.js'
import { valueWeight } from '../protocol/limits.js'
import type { TypeTag } from '../protocol/messages.js'
import { className } from '../util/describe.js'
import { isDetached } from '../util/transfer.js'
import type { EncodedReference, JsonPath, Payload } from './types.js'
import type { ValueRole } from './value-role.js'

const EMPTY_LIST: readonly never[] = []
/** The payload of plain data. */
export const plainPayload = (json: string): Payload => ({
  json,
  hasAnnotations: false,
  bytes: EMPTY_LIST,
  references: EMPTY_LIST,
  callerOwned: true
})

/** The JSON of a value. Only a Proxy, which answers otherwise than before, may have none. */
export const toJson = (value: unknown): string => (JSON.stringify(value) as string | undefined) ?? 'null'

/** A state of the builder that it can be restored to. */
interface Checkpoint {
  readonly pathLength: number
  readonly bytes: number
  readonly annotations: number
  /** Length of the last annotation: its type tag and its paths. */
  readonly lastAnnotationLength: number | undefined
  readonly tables: number
  readonly values: number
}

export class PayloadBuilder {
  /** The path of the value that is being encoded. */
  readonly path: (string | number)[] = []
  readonly references: EncodedReference[] = []
  readonly #bytes: Uint8Array[] = []
  readonly #annotations: [TypeTag, ...JsonPath[]][] = []
  /** The tables around the present path: at which length of the path each is, and its column names. */
  readonly #enclosingTables: [pathLength: number, names: readonly string[]][] = []
  /** Values that are not plain JSON; parts of some containers count, too. */
  #values = 0

  constructor(readonly role: ValueRole) {}

  /** Tags the value at the present path. @returns its JSON, `json` */
  tag<T>(typeTag: TypeTag, json: T): T {
    this.#values += valueWeight(typeTag)
    return this.#annotate(typeTag, json)
  }

  /** Counts parts of a container that count as values. */
  addValues(count: number): void {
    this.#values += count
  }

  /** Encodes the columns of a table at the present path. A table is plain JSON in another form: it counts as no value. */
  addTable(
    names: readonly string[],
    columns: readonly unknown[][],
    encodeColumn: (column: unknown[]) => unknown
  ): unknown[] {
    this.#enclosingTables.push([this.path.length, names])
    const encoded = columns.map((column, i) => {
      this.path.push(i + 1)
      const cells = encodeColumn(column)
      this.path.pop()
      return cells
    })
    this.#enclosingTables.pop()
    return this.#annotate('t', [names, ...encoded])
  }

  addBytes(source: ArrayBuffer | ArrayBufferView, type: string): unknown {
    if (isDetached(ArrayBuffer.isView(source) ? source.buffer : source))
      throw this.unsendable(
        'a buffer that was transferred',
        'it is detached; send a copy, or send it before the transfer'
      )
    this.#bytes.push(
      ArrayBuffer.isView(source)
        ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
        : new Uint8Array(source)
    )
    return this.tag('b', type)
  }

  addReference(reference: EncodedReference): unknown {
    this.references.push(reference)
    return this.tag(reference[0], reference[1])
  }

  #annotate<T>(typeTag: TypeTag, json: T): T {
    const last = this.#annotations.at(-1)
    if (last && isSameTag(last[0], typeTag)) last.push(this.path.slice())
    else this.#annotations.push([typeTag, this.path.slice()])
    return json
  }

  /** The error for the value at the present path. */
  unsendable(what: string, cure: string): UnsendableError {
    return new UnsendableError(
      `${formatJsonPath(this.role.name, this.#userPath())} is ${what}, which cannot be sent: ${cure}`
    )
  }

  /** The present path in the user's value: a table's column and row are a record's member there. */
  #userPath(): JsonPath {
    const path = [...this.path]
    for (const [at, names] of [...this.#enclosingTables].reverse()) {
      const [column, row] = path.splice(at, 2) as [number, number]
      path.splice(at, 0, row, names[column - 1]!)
    }
    return path
  }

  /** Extra keys of a built-in object would be lost silently. @throws UnsendableError if it has one */
  requireNoExtraKeys(object: object): void {
    const [extra] = Object.keys(object)
    if (extra === undefined) return
    throw this.unsendable(
      `a ${className(object)} with the key "${extra}"`,
      'send the value of that key separately, or expose() the object'
    )
  }

  checkpoint(): Checkpoint {
    return {
      pathLength: this.path.length,
      bytes: this.#bytes.length,
      annotations: this.#annotations.length,
      lastAnnotationLength: this.#annotations.at(-1)?.length,
      tables: this.#enclosingTables.length,
      values: this.#values
    }
  }

  /** Removes all that was added since the checkpoint, except references. */
  restore({ pathLength, bytes, annotations, lastAnnotationLength, tables, values }: Checkpoint): void {
    this.path.length = pathLength
    this.#bytes.length = bytes
    this.#annotations.length = annotations
    if (lastAnnotationLength) this.#annotations[annotations - 1]!.length = lastAnnotationLength
    this.#enclosingTables.length = tables
    this.#values = values
  }

  /** @throws LimitError for more values than `maxValues`, the limit of the peer */
  build(encoded: unknown, maxValues: number): Payload {
    if (this.#values > maxValues) throw valuesLimitError(Math.ceil(this.#values), maxValues)
    const json = toJson(encoded)
    const hasAnnotations = this.#annotations.length > 0
    return {
      json: hasAnnotations ? `${json},${formatAnnotations(this.#annotations)}` : json,
      hasAnnotations,
      bytes: this.#bytes,
      references: this.references,
      callerOwned: this.role.isCallerOwned
    }
  }
}

/** The JSON of annotations. That of a single reference, the most frequent case, needs no `JSON.stringify`. */
function formatAnnotations(annotations: readonly [TypeTag, ...JsonPath[]][]): string {
  const [[tag, path, other]] = annotations as [[TypeTag, JsonPath, JsonPath?]]
  const isWholeValue = annotations.length === 1 && path.length === 0 && other === undefined
  return isWholeValue && typeof tag === 'string' ? `[["${tag}",[]]]` : JSON.stringify(annotations)
}

const isSameTag = (one: TypeTag, other: TypeTag): boolean =>
  typeof one === 'string' || typeof other === 'string' ? one === other : one[1] === other[1]

const valuesLimitError = (values: number, maxValues: number) =>
  new LimitError(
    'limit',
    `the message has ${values} values that are not plain JSON, more than the receiver accepts (its limits.values: ${maxValues}): send them in parts or as an iterator, or raise the limit there`
  )
