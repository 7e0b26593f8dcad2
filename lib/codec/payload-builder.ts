// What a walk over a value notes: where it is, for errors, and what stands beside the JSON: the groups that say what is not
// plain JSON in it, its bytes and references.

import { LimitError, UnsendableError } from '../errors.js'
import { formatPlace } from '../protocol/format.js'
import type { Kind } from '../protocol/messages.js'
import { className } from '../util/describe.js'
import { isDetached } from '../util/transfer.js'
import { weightOf } from './classify.js'
import { isLent } from './dispose.js'
import type { Given, Payload, Place } from './types.js'

/** The JSON of groups; that of a reference by itself, which most are, is known. */
function formatGroups(groups: readonly [Kind, ...Place[]][]): string {
  const [[kind, place, other]] = groups as [[Kind, Place, Place?]]
  const alone = groups.length === 1 && place.length === 0 && other === undefined
  return alone && typeof kind === 'string' ? `[["${kind}",[]]]` : JSON.stringify(groups)
}

const isSame = (one: Kind, other: Kind): boolean =>
  typeof one === 'string' || typeof other === 'string' ? one === other : one[1] === other[1]

/** A point in a walk, to go back to. */
interface Point {
  readonly place: number
  readonly bytes: number
  readonly groups: number
  /** Of the last group: its kind, and its places. */
  readonly marks: number | undefined
  readonly tables: number
  readonly values: number
}

export class Marks {
  /** Where the walk is. */
  protected readonly place: (string | number)[] = []
  protected readonly bytes: Uint8Array[] = []
  protected readonly given: Given[] = []
  /** Values that are not plain JSON; in some containers, what counts as a part of one. */
  protected values = 0
  readonly #groups: [Kind, ...Place[]][] = []
  /** The tables that the walk is in: how far down each is, and what its columns are called. */
  readonly #around: [at: number, names: readonly string[]][] = []

  /** `name` is what errors call the value. */
  constructor(protected readonly name: string) {}

  /** Says of what kind the value at the present place is. @returns what stands there for it */
  protected mark<T>(kind: Kind, data: T): T {
    this.values += weightOf(kind)
    return this.#group(kind, data)
  }

  /** Boxes each column of records with these names at its place. A table is plain JSON, in another form. */
  protected table(
    names: readonly string[],
    columns: readonly unknown[][],
    box: (column: unknown[]) => unknown
  ): unknown[] {
    this.#around.push([this.place.length, names])
    const boxed = columns.map((column, i) => {
      this.place.push(i + 1)
      const cells = box(column)
      this.place.pop()
      return cells
    })
    this.#around.pop()
    return this.#group('t', [names, ...boxed])
  }

  protected range(source: ArrayBuffer | ArrayBufferView, type: string): unknown {
    if (isDetached(ArrayBuffer.isView(source) ? source.buffer : source))
      throw this.refusal('a buffer that was transferred', 'it is gone (detached), send a copy before')
    this.bytes.push(
      ArrayBuffer.isView(source)
        ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
        : new Uint8Array(source)
    )
    return this.mark('b', type)
  }

  /** How many characters of JSON it takes to say of what kind the value at the present place is. */
  protected get sizeOfMark(): number {
    return JSON.stringify(this.place).length + '["t",],'.length
  }

  #group<T>(kind: Kind, data: T): T {
    const last = this.#groups.at(-1)
    if (last && isSame(last[0], kind)) last.push(this.place.slice())
    else this.#groups.push([kind, this.place.slice()])
    return data
  }

  /** The present place as a user knows it: what is in a column of a table, in a row, is there of a record. */
  #way(): Place {
    const way = [...this.place]
    for (const [at, names] of [...this.#around].reverse()) {
      const [column, row] = way.splice(at, 2) as [number, number]
      way.splice(at, 0, row, names[column - 1]!)
    }
    return way
  }

  refusal(what: string, cure: string): UnsendableError {
    return new UnsendableError(
      `${formatPlace(this.name, this.#way())} is ${what}, which cannot be sent: ${cure}`
    )
  }

  /** What a built-in carries beside its value would vanish silently. */
  protected plainOnly(object: object): void {
    const [extra] = Object.keys(object)
    if (extra === undefined) return
    throw this.refusal(
      `a ${className(object)} with the key "${extra}"`,
      'send that beside it, or expose() it'
    )
  }

  protected point(): Point {
    const groups = this.#groups.length
    const marks = this.#groups.at(-1)?.length
    return {
      place: this.place.length,
      bytes: this.bytes.length,
      groups,
      marks,
      tables: this.#around.length,
      values: this.values
    }
  }

  /** Nothing that was marked since then is to cross. */
  protected forget({ bytes, groups, marks, tables, values }: Point): void {
    this.bytes.length = bytes
    this.#groups.length = groups
    if (marks) this.#groups[groups - 1]!.length = marks
    this.#around.length = tables
    this.values = values
  }

  /** All of it. @throws LimitError where there is more than `most` */
  protected payload(boxed: unknown, most: number): Payload {
    if (this.values > most) throw tooMany(Math.ceil(this.values), most)
    const json = JSON.stringify(boxed)
    const grouped = this.#groups.length > 0
    const groups = grouped ? `,${formatGroups(this.#groups)}` : ''
    return { json: json + groups, grouped, bytes: this.bytes, given: this.given, lent: isLent(this.name) }
  }
}

const tooMany = (values: number, most: number) =>
  new LimitError(
    'limit',
    `${values} values that are not plain JSON are more than their receiver takes in one message (its limits.values: ${most}): send them in parts, or as an iterator, or raise it there`
  )
