// What a walk over a value notes: where it is, for errors, and what stands beside the JSON: the groups that say what is not
// plain JSON in it, its bytes and references.

import { LimitError, UnsendableError } from '../errors.js'
import { formatJsonPath } from '../protocol/format.js'
import type { TypeTag } from '../protocol/messages.js'
import { className } from '../util/describe.js'
import { isDetached } from '../util/transfer.js'
import { valueWeight } from './classify.js'
import { isLent } from './dispose.js'
import type { EncodedReference, JsonPath, Payload } from './types.js'

/** The JSON of groups; that of a reference by itself, which most are, is known. */
function formatAnnotations(annotations: readonly [TypeTag, ...JsonPath[]][]): string {
  const [[kind, place, other]] = annotations as [[TypeTag, JsonPath, JsonPath?]]
  const alone = annotations.length === 1 && place.length === 0 && other === undefined
  return alone && typeof kind === 'string' ? `[["${kind}",[]]]` : JSON.stringify(annotations)
}

const isSameTag = (one: TypeTag, other: TypeTag): boolean =>
  typeof one === 'string' || typeof other === 'string' ? one === other : one[1] === other[1]

/** A point in a walk, to go back to. */
interface Checkpoint {
  readonly pathLength: number
  readonly bytes: number
  readonly annotations: number
  /** Of the last group: its kind, and its places. */
  readonly lastAnnotationLength: number | undefined
  readonly tables: number
  readonly values: number
}

export class PayloadBuilder {
  /** Where the walk is. */
  protected readonly path: (string | number)[] = []
  protected readonly bytes: Uint8Array[] = []
  protected readonly encodedReferences: EncodedReference[] = []
  /** Values that are not plain JSON; in some containers, what counts as a part of one. */
  protected values = 0
  readonly #annotations: [TypeTag, ...JsonPath[]][] = []
  /** The tables that the walk is in: how far down each is, and what its columns are called. */
  readonly #enclosingTables: [at: number, names: readonly string[]][] = []

  /** `name` is what errors call the value. */
  constructor(protected readonly name: string) {}

  /** Says of what kind the value at the present place is. @returns what stands there for it */
  protected tag<T>(typeTag: TypeTag, data: T): T {
    this.values += valueWeight(typeTag)
    return this.#annotate(typeTag, data)
  }

  /** Boxes each column of records with these names at its place. A table is plain JSON, in another form. */
  protected addTable(
    names: readonly string[],
    columns: readonly unknown[][],
    box: (column: unknown[]) => unknown
  ): unknown[] {
    this.#enclosingTables.push([this.path.length, names])
    const boxed = columns.map((column, i) => {
      this.path.push(i + 1)
      const cells = box(column)
      this.path.pop()
      return cells
    })
    this.#enclosingTables.pop()
    return this.#annotate('t', [names, ...boxed])
  }

  protected addBytes(source: ArrayBuffer | ArrayBufferView, type: string): unknown {
    if (isDetached(ArrayBuffer.isView(source) ? source.buffer : source))
      throw this.unsendable('a buffer that was transferred', 'it is gone (detached), send a copy before')
    this.bytes.push(
      ArrayBuffer.isView(source)
        ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
        : new Uint8Array(source)
    )
    return this.tag('b', type)
  }

  /** How many characters of JSON it takes to say of what kind the value at the present place is. */
  protected get tagCharacters(): number {
    return JSON.stringify(this.path).length + '["t",],'.length
  }

  #annotate<T>(typeTag: TypeTag, data: T): T {
    const last = this.#annotations.at(-1)
    if (last && isSameTag(last[0], typeTag)) last.push(this.path.slice())
    else this.#annotations.push([typeTag, this.path.slice()])
    return data
  }

  /** The present place as a user knows it: what is in a column of a table, in a row, is there of a record. */
  #userPath(): JsonPath {
    const path = [...this.path]
    for (const [at, names] of [...this.#enclosingTables].reverse()) {
      const [column, row] = path.splice(at, 2) as [number, number]
      path.splice(at, 0, row, names[column - 1]!)
    }
    return path
  }

  unsendable(what: string, cure: string): UnsendableError {
    return new UnsendableError(
      `${formatJsonPath(this.name, this.#userPath())} is ${what}, which cannot be sent: ${cure}`
    )
  }

  /** What a built-in carries beside its value would vanish silently. */
  protected requireNoExtraKeys(object: object): void {
    const [extra] = Object.keys(object)
    if (extra === undefined) return
    throw this.unsendable(
      `a ${className(object)} with the key "${extra}"`,
      'send that beside it, or expose() it'
    )
  }

  protected checkpoint(): Checkpoint {
    const groups = this.#annotations.length
    const marks = this.#annotations.at(-1)?.length
    return {
      pathLength: this.path.length,
      bytes: this.bytes.length,
      annotations: groups,
      lastAnnotationLength: marks,
      tables: this.#enclosingTables.length,
      values: this.values
    }
  }

  /** Nothing that was marked since then is to cross. */
  protected restore({ bytes, annotations, lastAnnotationLength, tables, values }: Checkpoint): void {
    this.bytes.length = bytes
    this.#annotations.length = annotations
    if (lastAnnotationLength) this.#annotations[annotations - 1]!.length = lastAnnotationLength
    this.#enclosingTables.length = tables
    this.values = values
  }

  /** All of it. @throws LimitError where there is more than `most` */
  protected build(boxed: unknown, most: number): Payload {
    if (this.values > most) throw tooManyValues(Math.ceil(this.values), most)
    const json = JSON.stringify(boxed)
    const grouped = this.#annotations.length > 0
    const groups = grouped ? `,${formatAnnotations(this.#annotations)}` : ''
    return {
      json: json + groups,
      hasAnnotations: grouped,
      bytes: this.bytes,
      references: this.encodedReferences,
      lent: isLent(this.name)
    }
  }
}

const tooManyValues = (values: number, most: number) =>
  new LimitError(
    'limit',
    `${values} values that are not plain JSON are more than their receiver takes in one message (its limits.values: ${most}): send them in parts, or as an iterator, or raise it there`
  )
