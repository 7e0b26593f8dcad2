// Values → JSON and bytes. One walk copies what plain JSON can carry and marks what it cannot, kind by kind.
//
//   payload  json                what is plain JSON as it stands
//            json,[group, …]     a group is [kind, path, path, …]; at each path stands a placeholder with the data
//
// Kinds: 'o' an object, 'f' a function, 'h' one of the receiver's own; 'm' Map, 's' Set, 'e' Error, 'b' bytes, 'c' a
// cycle back to an ancestor, ['custom', name] a registered type, else a leaf of superjson's. Groups stand in the order
// in which they are to be applied: what is inside a container before the container.
import { boxError } from './boxed-error.js'
import { UnsendableError } from './errors.js'
import { isExposed } from './expose.js'
import { isNetref, Ref, stateOf } from './netref.js'
import type { Kind } from './protocol.js'
import { encodeLeaf, encodeType } from './registry.js'
import { type Travel, travelOf } from './values.js'

/** A place in a value: what leads to it from the top. */
export type Place = readonly (string | number)[]

export type ReferenceKind = 'o' | 'f' | 'h'

/** What boxing needs of the session it is for. */
export interface Giver {
  /** The wire form of a reference to `object`; `self` is the object a member function belongs to. */
  give(object: object, self: object | undefined): Given
  /** Takes back one giving of a reference that was not sent after all. */
  takeBack(given: Given): void
  /** What the peer takes at most, and whether stacks of errors go along. */
  readonly boxing: { readonly depth: number; readonly jsonBytes: number; readonly exposeStacks: boolean }
}

/** A value ready to cross: its JSON with its groups, the bytes that go beside, and the references given in it. */
export interface Payload {
  readonly json: string
  readonly bytes: readonly Uint8Array[]
  readonly given: readonly Given[]
}
export type Given = readonly [kind: ReferenceKind, data: unknown]

const plain = (value: unknown): Payload => ({ json: JSON.stringify(value), bytes: NOTHING, given: NOTHING })
const NOTHING: readonly never[] = []
const TOO_DEEP = Symbol('nested deeper than the limit')

/**
 * What crosses for the arguments of a call.
 *
 * @throws UnsendableError naming the path to what cannot travel. Nothing stays given then.
 */
export function boxArguments(args: unknown[], giver: Giver): Payload {
  for (const arg of args) if (!isPlainPrimitive(arg)) return box(args, 'args', giver)
  return plain(args)
}

/**
 * What crosses for one value. `name` is what errors call it; `self` is set for a member function.
 *
 * @throws UnsendableError naming the path to what cannot travel. Nothing stays given then.
 */
export function boxValue(value: unknown, name: string, giver: Giver, self?: object): Payload {
  return isPlainPrimitive(value) ? plain(value) : box(value, name, giver, self)
}

function box(value: unknown, name: string, giver: Giver, self?: object): Payload {
  try {
    return new Boxing(name, giver).whole(value, self)
  } catch (error) {
    // The walk got too deep: in a second one, which remembers where it came by, a cycle shows.
    if (error !== TOO_DEEP) throw error
    return new Boxing(name, giver, new Map()).whole(value, self)
  }
}

function isPlainPrimitive(value: unknown): boolean {
  switch (typeof value) {
    case 'number':
      return value - value === 0 && (value !== 0 || 1 / value > 0)
    case 'string':
    case 'boolean':
      return true
    default:
      return value === null
  }
}

/** One walk over one value. */
export class Boxing {
  readonly #bytes: Uint8Array[] = []
  readonly #groups: [Kind, ...Place[]][] = []
  readonly #given: Given[] = []
  readonly #place: (string | number)[] = []
  /** Set while fields of an error are boxed: references stay home there. */
  #dataOnly = false

  constructor(
    private readonly name: string,
    readonly giver: Giver,
    /** Where the containers around the present place stand; kept on the second walk only. */
    private readonly ancestors?: Map<object, Place>
  ) {}

  whole(value: unknown, self?: object): Payload {
    try {
      const json = JSON.stringify(this.box(value, 0, self))
      const groups = this.#groups.length > 0 ? `,${JSON.stringify(this.#groups)}` : ''
      return { json: json + groups, bytes: this.#bytes, given: this.#given }
    } catch (error) {
      this.#takeBack(0)
      throw error
    }
  }

  #takeBack(from: number): void {
    for (const given of this.#given.splice(from)) this.giver.takeBack(given)
  }

  box(value: unknown, depth: number, self?: object): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return isPlainPrimitive(value) ? value : this.#leaf(value)
      case 'object':
        return value === null ? null : this.#object(value, depth)
      case 'function':
        return this.#reference(value, self)
      case 'symbol':
        throw this.refusal(String(value), 'a symbol has no meaning outside this process: send a string')
      default:
        return this.#leaf(value)
    }
  }

  /** Boxes what stands at `key` of the present place. */
  inside(key: string | number, value: unknown, depth: number, self?: object): unknown {
    this.#place.push(key)
    const boxed = this.box(value, depth, self)
    this.#place.pop()
    return boxed
  }

  /** Boxes what stands at `place` below the present one if it is data through and through; else leaves no trace. */
  data(place: Place, value: unknown, depth: number): { boxed: unknown } | undefined {
    const lengths = this.#groups.map(group => group.length)
    const [here, bytes, given, outer] = [
      this.#place.length,
      this.#bytes.length,
      this.#given.length,
      this.#dataOnly
    ]
    this.#dataOnly = true
    this.#place.push(...place)
    try {
      return { boxed: this.box(value, depth) }
    } catch (error) {
      if (error === TOO_DEEP) throw error
      this.#groups.length = lengths.length
      for (const [i, group] of this.#groups.entries()) group.length = lengths[i]
      this.#bytes.length = bytes
      this.#takeBack(given)
      return undefined
    } finally {
      this.#place.length = here
      this.#dataOnly = outer
    }
  }

  refusal(what: string, cure: string): UnsendableError {
    return new UnsendableError(
      `${formatPlace(this.name, this.#place)} is ${what}, which cannot be sent: ${cure}`
    )
  }

  #mark<T>(kind: Kind, data: T): T {
    const last = this.#groups.at(-1)
    if (last && last[0] === kind) last.push(this.#place.slice())
    else this.#groups.push([kind, this.#place.slice()])
    return data
  }

  #leaf(value: unknown): unknown {
    const [kind, json] = encodeLeaf(value)
    return this.#mark(kind, json)
  }

  #reference(object: object, self?: object): unknown {
    if (this.#dataOnly) throw this.refusal('a reference', 'errors carry data only')
    const state = stateOf(object)
    if (state && !(state instanceof Ref)) throw this.refusal('remote and not here yet', 'await it first')
    if (state?.released) throw this.refusal('a released netref', 'send it before it is released')
    const given = this.giver.give(object, self)
    this.#given.push(given)
    return this.#mark(given[0], given[1])
  }

  #object(object: object, depth: number): unknown {
    if (isNetref(object) || isExposed(object)) return this.#reference(object)
    const travel = travelOf(object)
    switch (travel.as) {
      case 'leaf':
        return this.#leaf(object)
      case 'bytes':
        return this.#range(object as ArrayBuffer | ArrayBufferView, travel.type)
      case 'refused':
        throw this.refusal(travel.what, travel.cure)
      case 'reference':
        return this.#reference(object)
    }
    return this.ancestors
      ? this.#onceOnly(object, travel, depth, this.ancestors)
      : this.#container(object, travel, depth)
  }

  /** A container on the second walk: one that stands inside itself is a cycle. */
  #onceOnly(object: object, travel: Travel, depth: number, ancestors: Map<object, Place>): unknown {
    const ancestor = ancestors.get(object)
    if (ancestor) {
      if (travel.as === 'registered')
        throw this.refusal('part of itself', 'a registered type cannot hold itself')
      return this.#mark('c', ancestor)
    }
    ancestors.set(object, this.#place.slice())
    try {
      return this.#container(object, travel, depth)
    } finally {
      ancestors.delete(object)
    }
  }

  #container(object: object, travel: Travel, depth: number): unknown {
    const limit = this.giver.boxing.depth
    if (depth >= limit) {
      if (this.ancestors)
        throw this.refusal(`nested deeper than ${limit}`, 'send it in parts, or expose() it')
      throw TOO_DEEP
    }
    switch (travel.as) {
      case 'record':
        return this.#record(object as Record<string, unknown>, depth)
      case 'array':
        return this.#array(object as unknown[], depth)
      case 'map': {
        const entries = [...(object as Map<unknown, unknown>)].map((entry, i) =>
          this.inside(i, entry, depth + 1)
        )
        return this.#mark('m', entries)
      }
      case 'set': {
        const members = [...(object as Set<unknown>)].map((member, i) => this.inside(i, member, depth + 1))
        return this.#mark('s', members)
      }
      case 'error':
        return this.#mark('e', boxError(object as Error, this, depth))
      case 'registered':
        return this.#registered(object, travel.type, depth)
      /* c8 ignore next 2: every other way of travelling was taken before. */
      default:
        throw new Error(travel.as)
    }
  }

  /** A copy made in one step, so that accessors and proxies are read once; then boxed in place. */
  #record(object: Record<string, unknown>, depth: number): unknown {
    const copy = { ...object }
    for (const key of Object.keys(copy)) {
      const item = copy[key]
      if (isPlainPrimitive(item)) continue
      if (typeof item === 'function' && key === 'then') throw this.refusal('a promise', 'await it first')
      copy[key] = this.inside(key, item, depth + 1, object)
    }
    return copy
  }

  #array(array: unknown[], depth: number): unknown {
    if (array.length > this.giver.boxing.jsonBytes)
      throw this.refusal('an array too long to send', 'send it in parts')
    const copy = [...array]
    const keys = Object.keys(array)
    if (keys.length > 0 && !isIndex(keys.at(-1)!)) {
      const extra = keys.find(key => !isIndex(key))
      throw this.refusal(`an array with the named key "${extra}"`, 'send an object, or the array without it')
    }
    for (let i = 0; i < copy.length; i++) {
      if (!isPlainPrimitive(copy[i])) copy[i] = this.inside(i, copy[i], depth + 1)
    }
    return copy
  }

  #range(source: ArrayBuffer | ArrayBufferView, type: string): unknown {
    this.#bytes.push(
      source instanceof ArrayBuffer
        ? new Uint8Array(source)
        : new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    )
    return this.#mark('b', [this.#bytes.length - 1, type])
  }

  /** What `encode` returns stands one deeper, under the key 0, so that it is boxed before its instance. */
  #registered(object: object, type: string, depth: number): unknown {
    return this.#mark(['custom', type], [this.inside(0, encodeType(type, object), depth + 1)])
  }
}

const isIndex = (key: string) => String(Number(key) >>> 0) === key

/** A place as a person writes it: `args[0].user["first name"]`. */
export function formatPlace(name: string, place: Place): string {
  return place.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)
      ? `${text}.${key}`
      : `${text}[${JSON.stringify(key)}]`
  }, name)
}
