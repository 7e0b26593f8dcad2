// Performs the operations of a netref on an object of Python.

import { type Description, Netref } from '../../index.js'
import { Op } from '../../protocol/messages.js'
import type { MemberName } from '../../protocol/path.js'
import type { ForeignRequest } from '../../remote/foreign.js'
import type { Any } from '../../util/any.js'
import { clock } from '../../util/clock.js'
import { describeValue } from '../../util/describe.js'
import { KEYWORDS_MEMBER } from './keywords.js'
import { Handler, type HandlerCode, type IdPack } from './protocol.js'
import { isPlainData } from './python-copies.js'

/** What operations need of the connection. */
export interface OperatingSide {
  /** Sends a request. Its result refers to plain data. */
  refer(handler: HandlerCode, target: IdPack, ...args: unknown[]): Promise<unknown>
  /** Sends a request. Its result is copied if it is plain data. */
  ask(handler: HandlerCode, target: IdPack, ...args: unknown[]): Promise<unknown>
  /** Copies plain data of Python, of which a netref is held. */
  copy(target: IdPack): Promise<unknown>
  /** The methods of an object, with their help texts. */
  inspect(target: IdPack): Promise<readonly (readonly [name: string, help: unknown])[]>
  keyOf(value: unknown): IdPack | undefined
  operateLocally(
    op: ForeignRequest<IdPack>['op'],
    value: unknown,
    path: readonly string[],
    operand: unknown
  ): unknown
}

const NONE: readonly unknown[] = []
const isIndex = (name: string): boolean => /^(?:0|[1-9]\d*)$/.test(name)

/** Performs a request. It starts synchronously: a longer path takes a request for each name. */
export function performOnPython(side: OperatingSide, request: ForeignRequest<IdPack>): unknown {
  const { op, key, path, operand } = request
  if (path.length > (isOnMember(op) ? 1 : 0)) return performFurther(side, request)
  const name = path[0]
  if (typeof name === 'symbol') return performOnSymbol(side, op, key, name)
  switch (op) {
    case Op.call:
    case Op.construct:
    case Op.oneway:
      if (name === KEYWORDS_MEMBER) return callWithKeywords(side, key, operand as readonly unknown[])
      return name === undefined
        ? side.ask(Handler.call, key, operand, NONE)
        : side.ask(Handler.callAttribute, key, name, operand, NONE)
    case Op.get:
      return getMember(side, key, name!)
    case Op.has:
      return getMember(side, key, name!).then(
        () => true,
        error => {
          if (/^(?:Attribute|Index|Key)Error$/.test((error as Error).name)) return false
          throw error
        }
      )
    case Op.set:
      return (
        isIndex(name!)
          ? side.ask(Handler.callAttribute, key, '__setitem__', [Number(name), operand], NONE)
          : side.ask(Handler.setAttribute, key, name, operand)
      ).then(toUndefined)
    case Op.delete:
      return (
        isIndex(name!)
          ? side.ask(Handler.callAttribute, key, '__delitem__', [Number(name)], NONE)
          : side.ask(Handler.deleteAttribute, key, name)
      ).then(toUndefined)
    case Op.keys:
      return keysOf(side, key)
    case Op.describe:
      return describe(side, key)
    case Op.obtain:
      return isPlainData(key) ? side.copy(key) : obtain(side, key)
    case Op.iterate:
      return new PythonIterator(side, key)
    /* c8 ignore next 2: streams have operations of their own, and no object of Python is one. */
    default:
      throw new TypeError(`${request.label}: objects of Python have no such operation`)
  }
}

function callWithKeywords(side: OperatingSide, key: IdPack, operand: readonly unknown[]): Promise<unknown> {
  const [keywords, ...args] = operand
  if (!isRecord(keywords)) throw new TypeError('keyword arguments are a plain object')
  return side.ask(Handler.call, key, args, Object.entries(keywords))
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const toUndefined = () => undefined

/** Whether an operation needs the name of a member; calls may have one. */
const isOnMember = (op: ForeignRequest<IdPack>['op']): boolean =>
  op !== Op.keys && op !== Op.describe && op !== Op.obtain && op !== Op.iterate

/** Walks one name, and performs the request on what is there. */
async function performFurther(side: OperatingSide, request: ForeignRequest<IdPack>): Promise<unknown> {
  const [name, ...path] = request.path as readonly [MemberName, ...MemberName[]]
  if (typeof name === 'symbol') throw notAMember(name)
  const holder = await getMember(side, request.key, name)
  const key = side.keyOf(holder)
  if (key) return performOnPython(side, { ...request, key, path })
  return side.operateLocally(request.op, holder, path.map(String), request.operand)
}

function performOnSymbol(
  side: OperatingSide,
  op: ForeignRequest<IdPack>['op'],
  key: IdPack,
  name: symbol
): unknown {
  if (op === Op.call && (name === Symbol.asyncIterator || name === Symbol.iterator))
    return new PythonIterator(side, key)
  throw notAMember(name)
}

const notAMember = (name: symbol) => new TypeError(`${String(name)} is no member of an object of Python`)

const getMember = (side: OperatingSide, key: IdPack, name: string): Promise<unknown> =>
  isIndex(name)
    ? side.refer(Handler.callAttribute, key, '__getitem__', [Number(name)], NONE)
    : side.refer(Handler.getAttribute, key, name)

const EXPOSED_PREFIX = 'exposed_'

/** The public names of an object; of a service of RPyC those that it exposes. */
async function keysOf(side: OperatingSide, key: IdPack): Promise<string[]> {
  const all = (await side.ask(Handler.dir, key)) as readonly unknown[]
  const names = all.filter((name): name is string => typeof name === 'string' && !name.startsWith('_'))
  const exposed = names.filter(name => name.startsWith(EXPOSED_PREFIX))
  return exposed.length > 0 ? exposed.map(name => name.slice(EXPOSED_PREFIX.length)) : names
}

async function describe(side: OperatingSide, key: IdPack): Promise<Description[]> {
  const [names, methods] = await Promise.all([keysOf(side, key), side.inspect(key)])
  const helpByName = new Map(methods)
  return names.map(name => {
    const method = [name, EXPOSED_PREFIX + name].find(method => helpByName.has(method))
    if (method === undefined) return { name, kind: 'accessor' }
    const help = helpByName.get(method)
    return { name, kind: 'function', ...(typeof help === 'string' && { help }) }
  })
}

/** The data of an object: what its public names lead to, without what can be called. */
async function obtain(side: OperatingSide, key: IdPack): Promise<Record<string, unknown>> {
  const names = await keysOf(side, key)
  const read = async (name: string) => {
    const value = await side.refer(Handler.getAttribute, key, name)
    const pack = side.keyOf(value)
    return [name, pack && isPlainData(pack) ? await side.copy(pack) : value] as const
  }
  const data = await Promise.all(names.map(read))
  return Object.fromEntries(data.filter(([, value]) => typeof value !== 'function'))
}

/** Items of the first request for them, and the most of one. */
const FIRST_BATCH = 1
const MAX_BATCH = 1000
/** Python answers with a whole batch: one that took longer, in ms, was too large. */
const SLOW_MS = 5

const GENERATOR = 'builtins.generator'

/** Reads an iterable of Python, many items at a time while they come fast. */
class PythonIterator implements AsyncIterableIterator<unknown> {
  /** Made at once: the iterable is held only until the request for it is sent. */
  #iterator: Promise<unknown> | undefined
  #items: unknown[] = []
  #batch = FIRST_BATCH
  #isDone = false
  #reads: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly side: OperatingSide,
    iterable: IdPack
  ) {
    this.#iterator = side.refer(Handler.callAttribute, iterable, '__iter__', NONE, NONE).then(iterator => {
      if (side.keyOf(iterator)) return iterator
      throw new TypeError(`the __iter__ of an object of Python returned ${describeValue(iterator)}`)
    })
    this.#iterator.catch(toUndefined)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<unknown>> {
    const next = this.#reads.then(() => this.#next())
    this.#reads = next.catch(toUndefined)
    return next
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#isDone = true
    this.#items = []
    const iterator = this.#iterator
    this.#iterator = undefined
    iterator?.then(iterator => this.#giveUp(iterator as object), toUndefined)
    return { done: true, value: undefined }
  }

  /** A generator is its own iterator, which the user may hold. It is closed, if the server allows that. */
  #giveUp(iterator: object): void {
    const pack = this.side.keyOf(iterator)!
    if (pack[0] !== GENERATOR) return Netref.release(iterator as Any)
    this.side.refer(Handler.callAttribute, pack, 'close', NONE, NONE).catch(toUndefined)
  }

  async #next(): Promise<IteratorResult<unknown>> {
    if (this.#items.length === 0 && !this.#isDone) await this.#read()
    return this.#items.length > 0 ? { done: false, value: this.#items.shift() } : this.return()
  }

  async #read(): Promise<void> {
    const { side } = this
    try {
      const iterator = await this.#iterator
      const startedAt = clock.now()
      const items = await side.ask(Handler.buffiter, side.keyOf(iterator)!, this.#batch)
      if (this.#isDone) return
      this.#items = [...(items as unknown[])]
      const isFast = clock.now() - startedAt < SLOW_MS
      this.#batch = isFast ? Math.min(2 * this.#batch, MAX_BATCH) : Math.ceil(this.#batch / 2)
    } catch (error) {
      void this.return()
      throw error
    }
  }
}
