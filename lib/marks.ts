// What stands beside the JSON of a value: the groups that say what is not plain JSON in it, its bytes and references.
import type { Given, Payload, Place } from './box.js'
import { LimitError, UnsendableError } from './errors.js'
import { formatPlace } from './labels.js'
import type { Kind } from './protocol.js'

/** The JSON of groups; that of a reference by itself, which most are, is known. */
function formatGroups(groups: readonly [Kind, ...Place[]][]): string {
  const [[kind, place, other]] = groups as [[Kind, Place, Place?]]
  const alone = groups.length === 1 && place.length === 0 && other === undefined
  return alone && typeof kind === 'string' ? `[["${kind}",[]]]` : JSON.stringify(groups)
}

/** A point in a walk, to go back to. */
interface Point {
  readonly place: number
  readonly bytes: number
  readonly groups: number
  /** Of the last group: its kind, and its places. */
  readonly marks: number | undefined
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

  /** `name` is what errors call the value. */
  constructor(protected readonly name: string) {}

  /** Says of what kind the value at the present place is. @returns what stands there for it */
  protected mark<T>(kind: Kind, data: T): T {
    const last = this.#groups.at(-1)
    this.values++
    if (last && last[0] === kind) last.push(this.place.slice())
    else this.#groups.push([kind, this.place.slice()])
    return data
  }

  refusal(what: string, cure: string): UnsendableError {
    return new UnsendableError(
      `${formatPlace(this.name, this.place)} is ${what}, which cannot be sent: ${cure}`
    )
  }

  protected point(): Point {
    const groups = this.#groups.length
    const marks = this.#groups.at(-1)?.length
    return { place: this.place.length, bytes: this.bytes.length, groups, marks, values: this.values }
  }

  /** Nothing that was marked since then is to cross. */
  protected forget({ bytes, groups, marks, values }: Point): void {
    this.bytes.length = bytes
    this.#groups.length = groups
    if (marks) this.#groups[groups - 1]!.length = marks
    this.values = values
  }

  /** All of it. @throws LimitError where there is more than `most` */
  protected payload(boxed: unknown, most: number): Payload {
    if (this.values > most) throw tooMany(Math.ceil(this.values), most)
    const json = JSON.stringify(boxed)
    const grouped = this.#groups.length > 0
    const groups = grouped ? `,${formatGroups(this.#groups)}` : ''
    return { json: json + groups, grouped, bytes: this.bytes, given: this.given }
  }
}

const tooMany = (values: number, most: number) =>
  new LimitError(
    'limit',
    `${values} values that are not plain JSON are more than the other side takes in one message (limits.values: ${most}): send them in parts, or as an iterator, or raise that limit on the other side`
  )
