// Proxies: they turn JavaScript operations into requests. A proxy's handler holds what it stands for; the target is
// one of two frozen blanks that all proxies share, so that nothing can be seen on a proxy but remote members.

import { markConfidential } from '../codec/peer-errors.js'
import { formatPath } from '../protocol/format.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import { type MemberName, type MemberPath, pathKeys, toMemberKey } from '../protocol/path.js'
import type { AnyClass, AnyFunction } from '../types/netref.js'
import type { Session } from '../types/session.js'
import { copyByPrototype, type LibraryCopy, registerCopy } from '../util/copies.js'
import { describe, truncateName } from '../util/describe.js'
import type { CallOptions } from './call-options.js'
import type { CollectionCandidate } from './collection-pressure.js'

import { type ListenerKind, listenerKindOf } from './listening.js'
import type { ImportEntry } from './tables.js'

/** What requests start from: a reference, or a result that is still to come. */
export interface RequestBase {
  /** The number of the object, or of the call; 0 for the root, and for a call that was never sent. */
  readonly id: number
  readonly session: Requester
  readonly proxy: object
  readonly label: string
  readonly options: CallOptions | undefined
  readonly reference: Reference | undefined
  request(op: OperationCode, path: MemberPath, operand?: unknown, options?: CallOptions): PendingRequest
  localMember(name: string | symbol): unknown
}

/** A request whose answer may still be to come. */
export interface PendingRequest extends RequestBase {
  /** Whether somebody awaits it, or has built on it: whoever does learns of a failure. */
  readonly observed: boolean
  readonly error: unknown
  /** How it was called, if as a listener. */
  listenerKind: ListenerKind | undefined
  /** What came of it, to be awaited: each who does has a promise of its own. */
  settled(): Promise<unknown>
}

/** What a session does for its netrefs. */
export interface Requester extends Session {
  /** Sends one operation and returns what will come of it. It never throws: what goes wrong rejects the result. */
  request(
    op: OperationCode,
    base: RequestBase,
    path: MemberPath,
    operand?: unknown,
    options?: CallOptions
  ): PendingRequest
  /** An operation on a copy that arrived as a result, by the rules for values. */
  operateLocally(op: OperationCode, value: unknown, path: MemberPath, operand: unknown): unknown
  /** Gives the receipts of a netref back; later use of it rejects. */
  release(reference: Reference): void
  /** Told of a failed result that nobody has awaited or chained on so far. */
  reportUnobserved(result: PendingRequest): void
  /** What `asked` comes to; where no transport is there to bring it, `otherwise`, and what it fails with is reported. */
  unlessDisconnected<T>(request: Promise<T>, fallback: T): Promise<T>
}

export type OnFulfilled = (value: unknown) => unknown
export type OnRejected = (error: unknown) => unknown

const HANDLER_SYMBOL = Symbol('netref')
export const EMPTY_PATH: MemberPath = []
const TO_JSON = 'toJSON'
const HANDLE_EVENT = 'handleEvent'

/** The prototype of every netref. `util.inspect` looks for its hook on the target, and calls it on the proxy. */
const netrefPrototype: object = Object.freeze(
  Object.defineProperty(Object.create(null), Symbol.for('nodejs.util.inspect.custom'), {
    value(this: { [HANDLER_SYMBOL]?: NetrefHandler }) {
      return this[HANDLER_SYMBOL]?.toString() ?? '[Netref]'
    }
  })
)
const objectTarget = Object.freeze(Object.create(netrefPrototype))
/** A bound class can be constructed, and has no `prototype` that a proxy would have to admit to. */
export const functionTarget = Object.setPrototypeOf(class {}.bind(null), netrefPrototype)
for (const name of Reflect.ownKeys(functionTarget)) delete functionTarget[name]
Object.freeze(functionTarget)

/** What stands behind a proxy: a reference, a path from one, or a result that is still to come. */
export abstract class NetrefHandler implements ProxyHandler<object> {
  /** What requests through this proxy start from, and the path from there. */
  abstract readonly base: RequestBase
  abstract readonly path: MemberPath
  abstract readonly proxy: object
  /** Of a path the proxy that it starts from, which it keeps alive: a Ref does not hold its proxy. */
  declare protected readonly baseProxy: object | undefined
  /** How errors name it: `root.files`. */
  abstract readonly label: string
  /** What holds for every request through this proxy. */
  get options(): CallOptions | undefined {
    return undefined
  }
  /** The reference this stands for, if that has arrived: what is sent in its place. */
  get reference(): Reference | undefined {
    return undefined
  }
  /** A path further on. */
  pathProxy(path: MemberPath): object {
    return new PathHandler(this.base, path).proxy
  }
  /** The members of the proxy that are local, if `name` is one of them. */
  abstract localMember(name: string | symbol): unknown

  get(_target: object, name: string | symbol): unknown {
    if (name === HANDLER_SYMBOL) return this
    if (typeof name === 'symbol') return this.#symbolMember(name)
    if (name === TO_JSON) return () => this.toString()
    return (
      this.localMember(name) ?? (name === 'then' ? undefined : this.pathProxy(appendKey(this.path, name)))
    )
  }

  #symbolMember(name: symbol): unknown {
    if (name === Symbol.toPrimitive) return () => this.toString()
    if (name === Symbol.toStringTag) return 'Netref'
    return this.localMember(name)
  }

  apply(_target: object, self: unknown, args: unknown[]): object {
    const { path } = this
    const result = this.base.request(Op.call, path, args, this.options)
    if (self === undefined || (self === this.baseProxy && path !== HANDLE_EVENT)) return result.proxy
    result.listenerKind = listenerKindOf(self, args, path === HANDLE_EVENT ? undefined : this.proxy)
    return result.proxy
  }

  construct(_target: object, args: unknown[]): object {
    return this.base.request(Op.construct, this.path, args, this.options).proxy
  }

  set(_target: object, name: string | symbol): never {
    throw this.#unsupportedMutation(`await Netref.set(ref, ${describe(name)}, value)`)
  }
  defineProperty(_target: object, name: string | symbol): never {
    throw this.#unsupportedMutation(`await Netref.set(ref, ${describe(name)}, value)`)
  }
  deleteProperty(_target: object, name: string | symbol): never {
    throw this.#unsupportedMutation(`await Netref.delete(ref, ${describe(name)})`)
  }
  setPrototypeOf(): never {
    throw this.#unsupportedMutation('an operation of the remote object')
  }
  preventExtensions(): never {
    throw this.#unsupportedMutation('an operation of the remote object')
  }
  #unsupportedMutation(alternative: string): TypeError {
    return markConfidential(
      new TypeError(
        `${this.label} is remote: a change that cannot fail visibly is not offered, use \`${alternative}\``
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
export interface FinalizerToken {
  reference: Reference | undefined
}

/** A reference that has arrived. It is the entry of the import table, too: it must not hold its proxy. */
export class Reference extends NetrefHandler implements ImportEntry<object>, CollectionCandidate {
  readonly path = EMPTY_PATH
  readonly #proxy: { deref(): object | undefined }
  refCount = 1
  lentCount = 0
  candidateInCycle = 0
  /** What the collector has of it; not there for the root. */
  finalizerToken: FinalizerToken | undefined

  constructor(
    readonly session: Requester,
    readonly id: number,
    readonly name: string,
    private readonly isCallable: boolean
  ) {
    super()
    const proxy = new Proxy(isCallable ? functionTarget : objectTarget, this)
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
    return this.id === 0 ? this.name : `${truncateName(this.name) || 'netref'}#${this.id}`
  }
  get released(): boolean {
    return this.refCount === 0
  }

  override get reference(): this {
    return this
  }

  request(op: OperationCode, path: MemberPath, operand?: unknown, options?: CallOptions): PendingRequest {
    return this.session.request(op, this, path, operand, options)
  }

  localMember(name: string | symbol): unknown {
    switch (name) {
      case Symbol.dispose:
        return () => this.session.release(this)
      case Symbol.asyncIterator:
        return () => iterateNetref(this)
      case 'apply':
      case 'bind':
      case 'call':
        return this.isCallable ? functionMembers[name] : undefined
      default:
        return undefined
    }
  }
}

/** A path from a reference or a result: awaited it reads, called it calls. */
class PathHandler extends NetrefHandler {
  readonly proxy: object
  protected override readonly baseProxy: object

  constructor(
    readonly base: RequestBase,
    readonly path: MemberPath,
    target = functionTarget
  ) {
    super()
    this.baseProxy = base.proxy
    this.proxy = new Proxy(target, this)
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

  localMember(name: string | symbol): unknown {
    if (name === Symbol.asyncIterator)
      return () => iterateDeferred(this.base.session, () => this.read(), this.options)
    if (name !== 'then') return undefined
    return (onFulfilled: OnFulfilled, onRejected: OnRejected) => this.read().then(onFulfilled, onRejected)
  }
}

/** A netref, path or result with options for all that is asked through it: `Netref.with`. */
class OptionsHandler extends PathHandler {
  readonly #options: CallOptions

  constructor(base: RequestBase, path: MemberPath, options: CallOptions) {
    super(
      base,
      path,
      path.length === 0 && typeof base.reference?.proxy === 'object' ? objectTarget : functionTarget
    )
    this.#options = options
  }

  override get options(): CallOptions {
    return this.#options
  }

  override get reference(): Reference | undefined {
    return this.path.length === 0 ? this.base.reference : undefined
  }

  override pathProxy(path: MemberPath): object {
    return new OptionsHandler(this.base, path, this.#options).proxy
  }

  /** Without a path it is what it is a view of: a netref is not thenable, a result has all of a promise. */
  override localMember(name: string | symbol): unknown {
    const { reference, base, path } = this
    if (name === Symbol.asyncIterator && reference) return () => iterateNetref(reference, this.#options)
    return path.length > 0 || name === Symbol.asyncIterator ? super.localMember(name) : base.localMember(name)
  }

  protected override read(): Promise<unknown> {
    return this.path.length === 0 ? (this.base as PendingRequest).settled() : super.read()
  }
}

/** A view with these options beside those the proxy has already. */
export function withOptions(handler: NetrefHandler, options: CallOptions): object {
  return new OptionsHandler(handler.base, handler.path, { ...handler.options, ...options }).proxy
}

/** What stands behind a proxy of netref's; undefined for everything else. Sends nothing and runs nothing of a user's. */
export function handlerOf(value: unknown): NetrefHandler | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return undefined
  return Object.getPrototypeOf(value) === netrefPrototype
    ? (value as { [HANDLER_SYMBOL]?: NetrefHandler })[HANDLER_SYMBOL]
    : undefined
}

/** The copy of netref that a value is a netref of, where it is not of this one. */
export function packageCopyOf(value: unknown): LibraryCopy<typeof forwardRequest> | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return undefined
  const prototype = Object.getPrototypeOf(value)
  return prototype === netrefPrototype || prototype === null
    ? undefined
    : (copyByPrototype(prototype) as LibraryCopy<typeof forwardRequest>)
}

/** An operation on a netref, of any copy, as it goes on to its home. */
export function forwardRequest(
  netref: object,
  op: OperationCode,
  names: readonly MemberName[],
  operand: unknown,
  given?: CallOptions
): object {
  const state = handlerOf(netref)
  if (!state) return packageCopyOf(netref)!.request(netref, op, names, operand, given)
  const { base, path, options } = state
  const both = options && given ? { ...given, ...options } : (options ?? given)
  return base.request(op, [...pathKeys(path), ...names.map(toMemberKey)], operand, both).proxy
}

registerCopy(netrefPrototype, {
  isResolvedNetref: netref => handlerOf(netref)!.reference !== undefined,
  request: forwardRequest
})

export function appendKey(path: MemberPath, name: PropertyKey): MemberPath {
  const key = toMemberKey(name)
  if (typeof path === 'string') return [path, key]
  return path.length === 0 && typeof key === 'string' ? key : [...path, key]
}

type IteratorStep = IteratorResult<unknown>

/** Walks a remote collection, or an object whose iterator is exposed: its home hands over an iterator. */
export function iterateNetref(reference: Reference, options?: CallOptions): AsyncIterableIterator<unknown> {
  const resolve = () => reference.request(Op.iterate, [], undefined, options).settled()
  return new AsyncIterableOf(reference.session, resolve, options, reference.proxy)
}

/** Walks what a result or a member turns out to be: a remote iterator, a stream, a netref, or a copied collection. */
export function iterateDeferred(
  session: Requester,
  resolve: () => Promise<unknown>,
  options?: CallOptions
): AsyncIterableIterator<unknown> {
  return new AsyncIterableOf(session, resolve, options)
}

class AsyncIterableOf implements AsyncIterableIterator<unknown> {
  #iterator: AsyncIterator<unknown> | undefined
  #opening: Promise<AsyncIterator<unknown>> | undefined

  constructor(
    private readonly session: Requester,
    private readonly resolve: () => Promise<unknown>,
    private readonly options: CallOptions | undefined,
    /** The netref that is walked, kept alive until that has begun. */
    protected keptAlive?: object
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  next(value?: unknown): Promise<IteratorStep> {
    return this.#forward(steps => steps.next(value))
  }

  return(value?: unknown): Promise<IteratorStep> {
    const over = { done: true, value }
    return this.session.unlessDisconnected(
      this.#forward(async steps => (await steps.return?.(value)) ?? over),
      over
    )
  }

  throw(reason?: unknown): Promise<IteratorStep> {
    return this.#forward(async steps => {
      if (steps.throw) return steps.throw(reason)
      await steps.return?.()
      throw reason
    })
  }

  /** One step after the other, also of those that were asked for before it had begun. */
  #forward(step: (steps: AsyncIterator<unknown>) => Promise<IteratorStep>): Promise<IteratorStep> {
    return this.#iterator ? step(this.#iterator) : this.#open().then(step)
  }

  #open(): Promise<AsyncIterator<unknown>> {
    this.#opening ??= this.resolve().then(found => {
      this.keptAlive = undefined
      this.#iterator = iteratorOf(found, this.options)
      return this.#iterator
    })
    return this.#opening
  }
}

function iteratorOf(found: unknown, options: CallOptions | undefined): AsyncIterator<unknown> {
  const reference = handlerOf(found)?.reference
  if (reference) return iterateNetref(reference, options)
  if (typeof found === 'object' && found !== null) {
    if (Symbol.asyncIterator in found) return (found as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    if (Symbol.iterator in found) return iterateCopy(found as Iterable<unknown>)
  }
  throw new TypeError('for await: what came is nothing to iterate over')
}

/** As `for await` does it: a promise in a copied list is waited for. */
async function* iterateCopy(found: Iterable<unknown>): AsyncGenerator<unknown> {
  yield* found
}
