// Copies plain data of Python: RPyC refers to lists, dicts and sets, which netref copies.

import { LimitError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { CONVERSION_METHODS } from '../../util/conversion-methods.js'
import type { BrineValue } from './brine.js'
import {
  type Boxed,
  Handler,
  type HandlerCode,
  type IdPack,
  Label,
  packKey,
  RpycProtocolError
} from './protocol.js'

/** What copying needs of the connection. */
export interface CopyingSide {
  readonly limits: Pick<Limits, 'depth' | 'jsonBytes' | 'frameBytes'>
  /** Sends a request whose reply precedes all messages that wait. @returns the boxed result */
  fetch(handler: HandlerCode, target: IdPack, ...args: unknown[]): Promise<Boxed>
  unbox(boxed: Boxed, copies: PythonCopies, depth: number): unknown
  giveBack(pack: IdPack, count: number): void
}

/** The containers of Python that are copied, by class: how, and from what a container of this side is made. */
const COPIED_CLASSES: Readonly<Record<string, 'list' | 'set' | 'dict'>> = {
  'builtins.list': 'list',
  'builtins.tuple': 'list',
  'builtins.set': 'set',
  'builtins.frozenset': 'set',
  'builtins.dict': 'dict'
}

/** Whether an object of Python is plain data: an instance, as the id of a class is 0. */
export const isPlainData = ([name, , id]: IdPack): boolean => id !== 0 && Object.hasOwn(COPIED_CLASSES, name)

/** Items of one request. */
const BATCH = 1000
const NONE: readonly unknown[] = []

/** The copies of one message: a container that is referred to twice is copied once, so that cycles end. */
export class PythonCopies {
  readonly #containers = new Map<string, unknown>()
  readonly #started = new Map<string, Promise<unknown>>()
  readonly #received = new Map<string, { readonly pack: IdPack; count: number }>()
  #items = 0
  #bytes = 0

  constructor(private readonly side: CopyingSide) {}

  /** The copy of a container that was received; a promise of it unless it is being filled already. */
  copy(pack: IdPack, depth: number): unknown {
    this.#count(pack)
    return this.copyHeld(pack, depth)
  }

  /** The same of a container of which a netref is held. */
  copyHeld(pack: IdPack, depth: number): unknown {
    const key = packKey(pack)
    if (this.#containers.has(key)) return this.#containers.get(key)
    let copied = this.#started.get(key)
    if (!copied) {
      copied = this.#fill(pack, depth)
      this.#started.set(key, copied)
    }
    return copied
  }

  /** Waits for a message with copies, then gives back its containers: it has no other use for them. */
  async complete<T>(value: T): Promise<Awaited<T>> {
    try {
      return await value
    } finally {
      // A copy that failed does not end the others. The loop also waits for those that start meanwhile.
      for (const started of this.#started.values()) await started.catch(() => {})
      for (const { pack, count } of this.#received.values()) this.side.giveBack(pack, count)
    }
  }

  #count(pack: IdPack): void {
    const key = packKey(pack)
    const received = this.#received.get(key)
    if (received) received.count++
    else this.#received.set(key, { pack, count: 1 })
  }

  async #fill(pack: IdPack, depth: number): Promise<unknown> {
    const { limits } = this.side
    if (depth > limits.depth)
      throw new LimitError('limit', `plain data of Python is deeper than ${limits.depth} (limits.depth)`)
    const kind = COPIED_CLASSES[pack[0]]!
    if (kind === 'dict') return this.#fillDict(pack, depth)
    const items = await this.#itemsOf(pack)
    const container: unknown[] = []
    // A cycle leads through a list: Python's sets hold neither lists nor sets.
    if (kind === 'list') this.#containers.set(packKey(pack), container)
    await this.#unboxAll(items, depth, (item, index) => {
      container[index] = item
    })
    return kind === 'list' ? container : new Set(container)
  }

  async #fillDict(pack: IdPack, depth: number): Promise<unknown> {
    const entries = await this.#entriesOf(pack)
    const keys: unknown[] = []
    const keyItems = entries ? entries.map(([key]) => key) : await this.#itemsOf(pack)
    await this.#unboxAll(keyItems, depth, (key, index) => {
      keys[index] = key
    })
    const isObject = keys.every(key => typeof key === 'string')
    const container: Map<unknown, unknown> | Record<string, unknown> = isObject ? {} : new Map()
    this.#containers.set(packKey(pack), container)
    // In the order of the keys, also where a value arrives late.
    for (const key of keys) put(container, key, undefined)
    const valueItems = entries
      ? entries.map(([, value]) => value)
      : await Promise.all(
          keys.map(key => this.side.fetch(Handler.callAttribute, pack, '__getitem__', [key], NONE))
        )
    await this.#unboxAll(valueItems, depth, (value, index) => put(container, keys[index], value))
    return container
  }

  async #unboxAll(
    items: readonly Boxed[],
    depth: number,
    use: (value: unknown, index: number) => void
  ): Promise<void> {
    const late: Promise<void>[] = []
    items.forEach((item, index) => {
      const value = this.side.unbox(item, this, depth + 1)
      if (value instanceof Promise) late.push(value.then(settled => use(settled, index)))
      else use(value, index)
    })
    if (late.length > 0) await Promise.all(late)
  }

  /** The keys and values of a dict; undefined if Python's client does not allow `items`. */
  async #entriesOf(pack: IdPack): Promise<(readonly [key: Boxed, value: Boxed])[] | undefined> {
    let view: IdPack
    try {
      view = remotePackOf(await this.side.fetch(Handler.callAttribute, pack, 'items', NONE, NONE))
    } catch (error) {
      if ((error as Error).name === 'AttributeError') return undefined
      throw error
    }
    try {
      const pairs = await this.#itemsOf(view)
      return pairs.map(pair => {
        const [key, value] = itemsOfTuple(pair)
        if (!key || !value) throw new RpycProtocolError('an item of a dict that is no pair')
        return [key, value]
      })
    } finally {
      this.side.giveBack(view, 1)
    }
  }

  /** The items of something iterable: most often those of one request, since Python's own iterators are made anew in each. */
  async #itemsOf(pack: IdPack): Promise<Boxed[]> {
    const first = await this.#batch(pack)
    if (first.length < BATCH) return first
    const iterator = remotePackOf(await this.side.fetch(Handler.callAttribute, pack, '__iter__', NONE, NONE))
    try {
      this.#discard(await this.#batch(iterator))
      const items = [...first]
      for (let batch = await this.#batch(iterator); batch.length > 0; batch = await this.#batch(iterator))
        for (const item of batch) items.push(item)
      return items
    } finally {
      this.side.giveBack(iterator, 1)
    }
  }

  async #batch(iterable: IdPack): Promise<Boxed[]> {
    const items = itemsOfTuple(await this.side.fetch(Handler.buffiter, iterable, BATCH))
    this.#items += items.length
    // Each item takes a character and a comma at least where the session passes it on.
    if (2 * this.#items > this.side.limits.jsonBytes)
      throw new LimitError(
        'limit',
        `plain data of Python has more than ${this.#items} items (limits.jsonBytes)`
      )
    this.#bytes += sizeOf(items)
    if (this.#bytes > 2 * this.side.limits.frameBytes)
      throw new LimitError('limit', `plain data of Python has ${this.#bytes} bytes (limits.frameBytes)`)
    return items
  }

  /** Gives back references that arrived twice. */
  #discard(items: readonly Boxed[]): void {
    for (const [label, value] of items) {
      if (label === Label.remote) this.side.giveBack(value as IdPack, 1)
      if (label === Label.tuple) this.#discard(value as readonly Boxed[])
    }
  }
}

/**
 * Puts an entry into a plain object or a Map. A key such as `__proto__` is a key. A function that the language would call
 * implicitly is left out: `await` must not run code of Python.
 */
function put(container: Map<unknown, unknown> | Record<string, unknown>, key: unknown, value: unknown): void {
  if (container instanceof Map) container.set(key, value)
  else if (typeof value === 'function' && CONVERSION_METHODS.has(key)) delete container[key as string]
  else
    Object.defineProperty(container, key as string, {
      value,
      writable: true,
      enumerable: true,
      configurable: true
    })
}

/** About the number of bytes of a value: at least what its texts and bytes take. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length
  let size = 1
  if (Array.isArray(value) || value instanceof Set) for (const item of value) size += sizeOf(item)
  return size
}

/** @throws RpycProtocolError if the value is no object of Python */
export function remotePackOf([label, value]: Boxed): IdPack {
  if (label === Label.remote) return value as IdPack
  throw new RpycProtocolError('a value in place of a reference')
}

/** The boxed items of a boxed tuple. @throws RpycProtocolError */
export function itemsOfTuple([label, value]: Boxed): Boxed[] {
  if (label === Label.tuple) return [...(value as readonly Boxed[])]
  if (label === Label.value && Array.isArray(value))
    return value.map((item: BrineValue) => [Label.value, item])
  throw new RpycProtocolError('a value in place of a tuple')
}
