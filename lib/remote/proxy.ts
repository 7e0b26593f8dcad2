// Proxies: they turn JavaScript operations into requests. A proxy's handler holds what it stands for; the target is
// one of two frozen blanks that all proxies share, so that nothing can be seen on a proxy but remote members.

import { aboutCall } from '../codec/peer-errors.js'
import { formatPath } from '../protocol/format.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import { keysOf, type Name, type Path, toKey } from '../protocol/path.js'
import type { AnyClass, AnyFunction } from '../types/netref.js'
import type { Session } from '../types/session.js'
import { type Copy, copyWith, introduce } from '../util/copies.js'
import { cutName, describe } from '../util/describe.js'
import type { CallOptions } from './call-options.js'
import type { Loose } from './collection-pressure.js'

import { type Listening, listeningOf } from './listening.js'
import type { Import } from './tables.js'

/** What requests start from: a reference, or a result that is still to come. */
export interface RequestBase {
  /** The number of the object, or of the call; 0 for the root, and for a call that was never sent. */
  readonly id: number
  readonly session: Requester
  readonly proxy: object
  readonly label: string
  readonly options: CallOptions | undefined
  readonly ref: Ref | undefined
  request(op: OperationCode, path: Path, operand?: unknown, options?: CallOptions): PendingRequest
  local(name: string | symbol): unknown
}

/** A request whose answer may still be to come. */
export interface PendingRequest extends RequestBase {
  /** Whether somebody awaits it, or has built on it: whoever does learns of a failure. */
  readonly observed: boolean
  readonly error: unknown
  /** How it was called, if as a listener. */
  listening: Listening | undefined
  /** What came of it, to be awaited: each who does has a promise of its own. */
  settled(): Promise<unknown>
}

/** What a session does for its netrefs. */
export interface Requester extends Session {
  /** Sends one operation and returns what will come of it. It never throws: what goes wrong rejects the result. */
  request(
    op: OperationCode,
    base: RequestBase,
    path: Path,
    operand?: unknown,
    options?: CallOptions
  ): PendingRequest
  /** An operation on a copy that arrived as a result, by the rules for values. */
  operateLocally(op: OperationCode, value: unknown, path: Path, operand: unknown): unknown
  /** Gives the receipts of a netref back; later use of it rejects. */
  release(ref: Ref): void
  /** Told of a failed result that nobody has awaited or chained on so far. */
  unobserved(result: PendingRequest): void
  /** What `asked` comes to; where no transport is there to bring it, `otherwise`, and what it fails with is reported. */
  unlessAway<T>(asked: Promise<T>, otherwise: T): Promise<T>
}

export type Done = (value: unknown) => unknown
export type Failed = (error: unknown) => unknown

const STATE = Symbol('netref')
export const NOWHERE: Path = []
const JSON_NAME = 'toJSON'
const HANDLER = 'handleEvent'

/** The prototype of every netref. `util.inspect` looks for its hook on the target, and calls it on the proxy. */
const prototype: object = Object.freeze(
  Object.defineProperty(Object.create(null), Symbol.for('nodejs.util.inspect.custom'), {
    value(this: { [STATE]?: Handler }) {
      return this[STATE]?.toString() ?? '[Netref]'
    }
  })
)
const blankObject = Object.freeze(Object.create(prototype))
/** A bound class can be constructed, and has no `prototype` that a proxy would have to admit to. */
export const blankFunction = Object.setPrototypeOf(class {}.bind(null), prototype)
for (const name of Reflect.ownKeys(blankFunction)) delete blankFunction[name]
Object.freeze(blankFunction)

/** What stands behind a proxy: a reference, a path from one, or a result that is still to come. */
export abstract class Handler implements ProxyHandler<object> {
  /** What requests through this proxy start from, and the path from there. */
  abstract readonly base: RequestBase
  abstract readonly path: Path
  abstract readonly proxy: object
  /** Of a path the proxy that it starts from, which it keeps alive: a Ref does not hold its proxy. */
  declare protected readonly origin: object | undefined
  /** How errors name it: `root.files`. */
  abstract readonly label: string
  /** What holds for every request through this proxy. */
  get options(): CallOptions | undefined {
    return undefined
  }
  /** The reference this stands for, if that has arrived: what is sent in its place. */
  get ref(): Ref | undefined {
    return undefined
  }
  /** A path further on. */
  step(path: Path): object {
    return new Step(this.base, path).proxy
  }
  /** The members of the proxy that are local, if `name` is one of them. */
  abstract local(name: string | symbol): unknown

  get(_target: object, name: string | symbol): unknown {
    if (name === STATE) return this
    if (typeof name === 'symbol') return this.#symbol(name)
    if (name === JSON_NAME) return () => this.toString()
    return this.local(name) ?? (name === 'then' ? undefined : this.step(extend(this.path, name)))
  }

  #symbol(name: symbol): unknown {
    if (name === Symbol.toPrimitive) return () => this.toString()
    if (name === Symbol.toStringTag) return 'Netref'
    return this.local(name)
  }

  apply(_target: object, self: unknown, args: unknown[]): object {
    const { path } = this
    const result = this.base.request(Op.call, path, args, this.options)
    if (self === undefined || (self === this.origin && path !== HANDLER)) return result.proxy
    result.listening = listeningOf(self, args, path === HANDLER ? undefined : this.proxy)
    return result.proxy
  }

  construct(_target: object, args: unknown[]): object {
    return this.base.request(Op.construct, this.path, args, this.options).proxy
  }

  set(_target: object, name: string | symbol): never {
    throw this.#silent(`await Netref.set(ref, ${describe(name)}, value)`)
  }
  defineProperty(_target: object, name: string | symbol): never {
    throw this.#silent(`await Netref.set(ref, ${describe(name)}, value)`)
  }
  deleteProperty(_target: object, name: string | symbol): never {
    throw this.#silent(`await Netref.delete(ref, ${describe(name)})`)
  }
  setPrototypeOf(): never {
    throw this.#silent('an operation of the remote object')
  }
  preventExtensions(): never {
    throw this.#silent('an operation of the remote object')
  }
  #silent(cure: string): TypeError {
    return aboutCall(
      new TypeError(
        `${this.label} is remote: a change that cannot fail visibly is not offered, use \`${cure}\``
      )
    )
  }

  toString(): string {
    return `[Netref ${this.label}]`
  }
}

/** A netref that can be called has these of functions, for code that calls functions by them. `this` is not sent. */
const functionMembers = {
  apply: Function.prototype.apply,
  call: Function.prototype.call,
  bind(this: AnyFunction & AnyClass, _this: unknown, ...bound: unknown[]): AnyFunction {
    const fn = this
    return function (this: unknown, ...args: unknown[]) {
      const all = [...bound, ...args]
      return new.target ? Reflect.construct(fn, all) : Reflect.apply(fn, this, all)
    }
  }
}

/** What tells of a netref that was collected: of none any more once it was released, or the session has ended. */
export interface Watch {
  ref: Ref | undefined
}

/** A reference that has arrived. It is the entry of the import table, too: it must not hold its proxy. */
export class Ref extends Handler implements Import<object>, Loose {
  readonly path = NOWHERE
  readonly #proxy: { deref(): object | undefined }
  receipts = 1
  lent = 0
  period = 0
  /** What the collector has of it; not there for the root. */
  watch: Watch | undefined

  constructor(
    readonly session: Requester,
    readonly id: number,
    readonly name: string,
    private readonly callable: boolean
  ) {
    super()
    const proxy = new Proxy(callable ? blankFunction : blankObject, this)
    // The root lives as long as its session.
    this.#proxy = id === 0 ? { deref: () => proxy } : new WeakRef(proxy)
  }

  /** The netref, while it lives; who makes a Ref has to take hold of it at once. */
  get proxy(): object {
    return this.#proxy.deref()!
  }

  get base(): this {
    return this
  }
  get label(): string {
    return this.id === 0 ? this.name : `${cutName(this.name) || 'netref'}#${this.id}`
  }
  get released(): boolean {
    return this.receipts === 0
  }

  override get ref(): this {
    return this
  }

  request(op: OperationCode, path: Path, operand?: unknown, options?: CallOptions): PendingRequest {
    return this.session.request(op, this, path, operand, options)
  }

  local(name: string | symbol): unknown {
    switch (name) {
      case Symbol.dispose:
        return () => this.session.release(this)
      case Symbol.asyncIterator:
        return () => iterateNetref(this)
      case 'apply':
      case 'bind':
      case 'call':
        return this.callable ? functionMembers[name] : undefined
      default:
        return undefined
    }
  }
}

/** A path from a reference or a result: awaited it reads, called it calls. */
class Step extends Handler {
  readonly proxy: object
  protected override readonly origin: object

  constructor(
    readonly base: RequestBase,
    readonly path: Path,
    blank = blankFunction
  ) {
    super()
    this.origin = base.proxy
    this.proxy = new Proxy(blank, this)
  }

  get label(): string {
    return `${this.base.label}${formatPath(this.path)}`
  }

  /** What a call builds on that is not answered yet, its options hold for as well. */
  override get options(): CallOptions | undefined {
    return this.base.options
  }

  protected read(): Promise<unknown> {
    return this.base.request(Op.get, this.path, undefined, this.options).settled()
  }

  local(name: string | symbol): unknown {
    if (name === Symbol.asyncIterator)
      return () => iterateLater(this.base.session, () => this.read(), this.options)
    if (name !== 'then') return undefined
    return (done: Done, failed: Failed) => this.read().then(done, failed)
  }
}

/** A netref, path or result with options for all that is asked through it: `Netref.with`. */
class View extends Step {
  readonly #options: CallOptions

  constructor(base: RequestBase, path: Path, options: CallOptions) {
    super(base, path, path.length === 0 && typeof base.ref?.proxy === 'object' ? blankObject : blankFunction)
    this.#options = options
  }

  override get options(): CallOptions {
    return this.#options
  }

  override get ref(): Ref | undefined {
    return this.path.length === 0 ? this.base.ref : undefined
  }

  override step(path: Path): object {
    return new View(this.base, path, this.#options).proxy
  }

  /** Without a path it is what it is a view of: a netref is not thenable, a result has all of a promise. */
  override local(name: string | symbol): unknown {
    const { ref, base, path } = this
    if (name === Symbol.asyncIterator && ref) return () => iterateNetref(ref, this.#options)
    return path.length > 0 || name === Symbol.asyncIterator ? super.local(name) : base.local(name)
  }

  protected override read(): Promise<unknown> {
    return this.path.length === 0 ? (this.base as PendingRequest).settled() : super.read()
  }
}

/** A view with these options beside those the proxy has already. */
export function viewOf(state: Handler, options: CallOptions): object {
  return new View(state.base, state.path, { ...state.options, ...options }).proxy
}

/** What stands behind a proxy of netref's; undefined for everything else. Sends nothing and runs nothing of a user's. */
export function stateOf(value: unknown): Handler | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return undefined
  return Object.getPrototypeOf(value) === prototype ? (value as { [STATE]?: Handler })[STATE] : undefined
}

/** The copy of netref that a value is a netref of, where it is not of this one. */
export function copyBehind(value: unknown): Copy<typeof request> | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return undefined
  const found = Object.getPrototypeOf(value)
  return found === prototype || found === null ? undefined : (copyWith(found) as Copy<typeof request>)
}

/** An operation on a netref, of any copy, as it goes on to its home. */
export function request(
  netref: object,
  op: OperationCode,
  names: readonly Name[],
  operand: unknown,
  given?: CallOptions
): object {
  const state = stateOf(netref)
  if (!state) return copyBehind(netref)!.request(netref, op, names, operand, given)
  const { base, path, options } = state
  const both = options && given ? { ...given, ...options } : (options ?? given)
  return base.request(op, [...keysOf(path), ...names.map(toKey)], operand, both).proxy
}

introduce(prototype, { hasArrived: netref => stateOf(netref)!.ref !== undefined, request })

export function extend(path: Path, name: PropertyKey): Path {
  const key = toKey(name)
  if (typeof path === 'string') return [path, key]
  return path.length === 0 && typeof key === 'string' ? key : [...path, key]
}

type IteratorStep = IteratorResult<unknown>

/** Walks a remote collection, or an object whose iterator is exposed: its home hands over an iterator. */
export function iterateNetref(ref: Ref, options?: CallOptions): AsyncIterableIterator<unknown> {
  const read = () => ref.request(Op.iterate, [], undefined, options).settled()
  return new Walk(ref.session, read, options, ref.proxy)
}

/** Walks what a result or a member turns out to be: a remote iterator, a stream, a netref, or a copied collection. */
export function iterateLater(
  session: Requester,
  read: () => Promise<unknown>,
  options?: CallOptions
): AsyncIterableIterator<unknown> {
  return new Walk(session, read, options)
}

class Walk implements AsyncIterableIterator<unknown> {
  #steps: AsyncIterator<unknown> | undefined
  #begun: Promise<AsyncIterator<unknown>> | undefined

  constructor(
    private readonly session: Requester,
    private readonly read: () => Promise<unknown>,
    private readonly options: CallOptions | undefined,
    /** The netref that is walked, kept alive until that has begun. */
    protected origin?: object
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  next(value?: unknown): Promise<IteratorStep> {
    return this.#do(steps => steps.next(value))
  }

  return(value?: unknown): Promise<IteratorStep> {
    const over = { done: true, value }
    return this.session.unlessAway(
      this.#do(async steps => (await steps.return?.(value)) ?? over),
      over
    )
  }

  throw(reason?: unknown): Promise<IteratorStep> {
    return this.#do(async steps => {
      if (steps.throw) return steps.throw(reason)
      await steps.return?.()
      throw reason
    })
  }

  /** One step after the other, also of those that were asked for before it had begun. */
  #do(step: (steps: AsyncIterator<unknown>) => Promise<IteratorStep>): Promise<IteratorStep> {
    return this.#steps ? step(this.#steps) : this.#begin().then(step)
  }

  #begin(): Promise<AsyncIterator<unknown>> {
    this.#begun ??= this.read().then(found => {
      this.origin = undefined
      this.#steps = stepsOf(found, this.options)
      return this.#steps
    })
    return this.#begun
  }
}

function stepsOf(found: unknown, options: CallOptions | undefined): AsyncIterator<unknown> {
  const ref = stateOf(found)?.ref
  if (ref) return iterateNetref(ref, options)
  if (typeof found === 'object' && found !== null) {
    if (Symbol.asyncIterator in found) return (found as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    if (Symbol.iterator in found) return stepsOfCopy(found as Iterable<unknown>)
  }
  throw new TypeError('for await: what came is nothing to iterate over')
}

/** As `for await` does it: a promise in a copied list is waited for. */
async function* stepsOfCopy(found: Iterable<unknown>): AsyncGenerator<unknown> {
  yield* found
}
