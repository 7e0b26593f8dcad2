// Proxies: they turn JavaScript operations into requests. The handler of a proxy knows the remote object. All proxies
// share one of two frozen, empty targets, so a proxy has remote members only.

import { markConfidential } from '../codec/confidential-errors.js'
import { formatPath } from '../protocol/format.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import { type MemberName, type MemberPath, pathKeys, toMemberKey } from '../protocol/path.js'
import type { Session } from '../types/session.js'
import type { AnyClass, AnyFunction } from '../util/any.js'
import { describeValue, truncateName } from '../util/describe.js'
import { copyByPrototype, type LibraryCopy, registerCopy } from '../util/library-copies.js'
import type { CallOptions } from './call-options.js'
import type { CollectionCandidate } from './collection-pressure.js'
import { type ListenerKind, listenerKindOf } from './listener-kind.js'
import type { ImportEntry } from './tables.js'

/** The start of a request: a reference, or a pending result. */
export interface RequestBase {
  /** Id of the object, or number of the call; 0 for the root, and for a call that was never sent. */
  readonly id: number
  readonly session: Requester
  readonly proxy: object
  readonly label: string
  readonly options: CallOptions | undefined
  readonly reference: Reference | undefined
  request(op: OperationCode, path: MemberPath, operand?: unknown, options?: CallOptions): PendingRequest
  localMember(name: string | symbol): unknown
}

/** A request whose reply may be pending. */
export interface PendingRequest extends RequestBase {
  /** Whether user code awaits it, or builds on it, and so gets its error. */
  readonly observed: boolean
  readonly error: unknown
  /** How the call was made, if as an event listener. */
  listenerKind: ListenerKind | undefined
  /** A new promise of the outcome for each caller. */
  settled(): Promise<unknown>
}

/** What proxies need of a session. */
export interface Requester extends Session {
  /** Sends one operation, and returns its pending result. Does not throw: errors reject the result. */
  request(
    op: OperationCode,
    base: RequestBase,
    path: MemberPath,
    operand?: unknown,
    options?: CallOptions
  ): PendingRequest
  /** Performs an operation on a copy that arrived as a result, by the access rules for values. */
  operateLocally(op: OperationCode, value: unknown, path: MemberPath, operand: unknown): unknown
  /** Releases all references of a netref. Later use of it rejects. */
  release(reference: Reference): void
  /** Reports a failure that no code awaits. */
  report(error: unknown, call?: string): void
  /** Reports a rejected result that no code has awaited or built on so far. */
  reportUnobserved(result: PendingRequest): void
  /**
   * The outcome of a request that gives something back. If there is no connection to answer it: `fallback`, and a later error
   * is reported. Also `fallback` if the session has ended.
   */
  unlessDisconnected<T>(request: Promise<T>, fallback: T): Promise<T>
}

export type OnFulfilled = (value: unknown) => unknown
export type OnRejected = (error: unknown) => unknown

const HANDLER_SYMBOL = Symbol('netref')
export const EMPTY_PATH: MemberPath = []
const TO_JSON = 'toJSON'
/** Names that Vue reads of each object to find out what it is. They are undefined here, as on other objects. */
const VUE_PREFIX = '__v_'
const HANDLE_EVENT = 'handleEvent'

/** The prototype of all netrefs. `util.inspect` looks up its hook on the target, and calls it on the proxy. */
const netrefPrototype: object = Object.freeze(
  Object.defineProperty(Object.create(null), Symbol.for('nodejs.util.inspect.custom'), {
    value(this: { [HANDLER_SYMBOL]?: NetrefHandler }) {
      return this[HANDLER_SYMBOL]?.toString() ?? '[Netref]'
    }
  })
)
const objectTarget = Object.freeze(Object.create(netrefPrototype))
/** A bound class is constructible, and has no `prototype` property that a proxy would have to report. */
export const functionTarget = Object.setPrototypeOf(class {}.bind(null), netrefPrototype)
for (const name of Reflect.ownKeys(functionTarget)) delete functionTarget[name]
Object.freeze(functionTarget)

/** The handler of a proxy: a reference, a path, or a pending result. */
export abstract class NetrefHandler implements ProxyHandler<object> {
  /** The start of requests through this proxy, and the path from there. */
  abstract readonly base: RequestBase
  abstract readonly path: MemberPath
  abstract readonly proxy: object
  /** The proxy that a path starts from. The path keeps it alive: a Reference does not hold its proxy. */
  declare protected readonly baseProxy: object | undefined
  /** The name in error texts: `root.files`. */
  abstract readonly label: string
  /** Options of every request through this proxy. */
  get options(): CallOptions | undefined {
    return undefined
  }
  /** The reference that is sent in place of this proxy; undefined for a path or a pending result. */
  get reference(): Reference | undefined {
    return undefined
  }
  /** A proxy for a longer path. */
  pathProxy(path: MemberPath): object {
    return new PathHandler(this.base, path).proxy
  }
  /** The local member with that name; undefined if it has none. */
  abstract localMember(name: string | symbol): unknown

  get(_target: object, name: string | symbol): unknown {
    if (name === HANDLER_SYMBOL) return this
    if (typeof name === 'symbol') return this.#symbolMember(name)
    if (name === TO_JSON) return () => this.toString()
    const member = this.localMember(name)
    if (member !== undefined || name === 'then' || name.startsWith(VUE_PREFIX)) return member
    return this.pathProxy(appendKey(this.path, name))
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
    throw this.#unsupportedMutation(`await Netref.set(ref, ${describeValue(name)}, value)`)
  }
  defineProperty(_target: object, name: string | symbol): never {
    throw this.#unsupportedMutation(`await Netref.set(ref, ${describeValue(name)}, value)`)
  }
  deleteProperty(_target: object, name: string | symbol): never {
    throw this.#unsupportedMutation(`await Netref.delete(ref, ${describeValue(name)})`)
  }
  setPrototypeOf(): never {
    throw this.#unsupportedMutation('an operation of the remote object')
  }
  preventExtensions(): never {
    throw this.#unsupportedMutation('an operation of the remote object')
  }
  #unsupportedMutation(alternative: string): TypeError {
    return markConfidential(
      new TypeError(`${this.label} is remote, and cannot be changed synchronously: use \`${alternative}\``)
    )
  }

  toString(): string {
    return `[Netref ${this.label}]`
  }
}

/** Members of functions that a callable netref has, for code that calls functions through them. `this` is not sent. */
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

/** The held value of the finalizer. Its reference is cleared when the netref is released, or the session ends. */
export interface FinalizerToken {
  reference: Reference | undefined
}

/** A reference that has arrived. It is the entry in the import table, so it must not hold its proxy. */
export class Reference extends NetrefHandler implements ImportEntry<object>, CollectionCandidate {
  readonly path = EMPTY_PATH
  readonly #proxy: { deref(): object | undefined }
  refCount = 1
  lentCount = 0
  candidateInCycle = 0
  /** The held value of the finalizer; undefined for the root. */
  finalizerToken: FinalizerToken | undefined
  /** Whether it is a subscription, which `cancel` gives back. Few are: others lack the field, to save memory. */
  declare isSubscription?: boolean

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

  /** The netref. The code that creates a Reference must hold its proxy immediately. */
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

/** A path from a reference or a result: `await` reads it, a call calls it. */
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

  /** Requests on a pending call have that call's options. */
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

/** A netref, path or result with options for all requests through it: `Netref.with`. */
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

  /** Without a path it has the local members of its base: a netref is not thenable, a result is a promise. */
  override localMember(name: string | symbol): unknown {
    const { reference, base, path } = this
    if (name === Symbol.asyncIterator && reference) return () => iterateNetref(reference, this.#options)
    return path.length > 0 || name === Symbol.asyncIterator ? super.localMember(name) : base.localMember(name)
  }

  protected override read(): Promise<unknown> {
    return this.path.length === 0 ? (this.base as PendingRequest).settled() : super.read()
  }
}

/** The same netref, path or result with these options in addition to its own. */
export function withOptions(handler: NetrefHandler, options: CallOptions): object {
  return new OptionsHandler(handler.base, handler.path, { ...handler.options, ...options }).proxy
}

/**
 * The handler of a proxy of this copy of the package; undefined for any other value. Runs no user code, sends nothing.
 */
export function handlerOf(value: unknown): NetrefHandler | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return undefined
  return Object.getPrototypeOf(value) === netrefPrototype
    ? (value as { [HANDLER_SYMBOL]?: NetrefHandler })[HANDLER_SYMBOL]
    : undefined
}

/** The other copy of this package that made the netref; undefined if this copy made it, or it is not a netref. */
export function packageCopyOf(value: unknown): LibraryCopy<typeof forwardRequest> | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return undefined
  const prototype = Object.getPrototypeOf(value)
  return prototype === netrefPrototype || prototype === null
    ? undefined
    : (copyByPrototype(prototype) as LibraryCopy<typeof forwardRequest>)
}

/** Forwards an operation on a netref, of any copy of this package, to its owner. */
export function forwardRequest(
  netref: object,
  op: OperationCode,
  names: readonly MemberName[],
  operand: unknown,
  callerOptions?: CallOptions
): object {
  const handler = handlerOf(netref)
  if (!handler) return packageCopyOf(netref)!.request(netref, op, names, operand, callerOptions)
  const { base, path, options } = handler
  const merged = options && callerOptions ? { ...callerOptions, ...options } : (options ?? callerOptions)
  return base.request(op, [...pathKeys(path), ...names.map(toMemberKey)], operand, merged).proxy
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

type NextResult = IteratorResult<unknown>

/** Iterates a remote collection, or an object whose iterator is exposed. The owner sends an iterator. */
export function iterateNetref(reference: Reference, options?: CallOptions): AsyncIterableIterator<unknown> {
  const resolve = () => reference.request(Op.iterate, [], undefined, options).settled()
  return new DeferredIterator(reference.session, resolve, options, reference.proxy)
}

/** Iterates what a result or a member resolves to: a remote iterator, a stream, a netref or a copied collection. */
export function iterateDeferred(
  session: Requester,
  resolve: () => Promise<unknown>,
  options?: CallOptions
): AsyncIterableIterator<unknown> {
  return new DeferredIterator(session, resolve, options)
}

class DeferredIterator implements AsyncIterableIterator<unknown> {
  #iterator: AsyncIterator<unknown> | undefined
  #opening: Promise<AsyncIterator<unknown>> | undefined

  constructor(
    private readonly session: Requester,
    private readonly resolve: () => Promise<unknown>,
    private readonly options: CallOptions | undefined,
    /** The iterated netref, kept alive until the iterator has arrived. */
    protected keptAlive?: object
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  next(value?: unknown): Promise<NextResult> {
    return this.#forward(iterator => iterator.next(value))
  }

  return(value?: unknown): Promise<NextResult> {
    const over = { done: true, value }
    if (!this.#opening && handlerOf(this.keptAlive)?.reference?.released) return Promise.resolve(over)
    return this.session.unlessDisconnected(
      this.#forward(async iterator => (await iterator.return?.(value)) ?? over),
      over
    )
  }

  throw(reason?: unknown): Promise<NextResult> {
    return this.#forward(async iterator => {
      if (iterator.throw) return iterator.throw(reason)
      await iterator.return?.()
      throw reason
    })
  }

  /** Calls the iterator, once it has arrived, in the order of the calls. */
  #forward(call: (iterator: AsyncIterator<unknown>) => Promise<NextResult>): Promise<NextResult> {
    return this.#iterator ? call(this.#iterator) : this.#open().then(call)
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
  throw new TypeError('for await: the result is not iterable')
}

/** Awaits the promises in a copied list, as `for await` does. */
async function* iterateCopy(found: Iterable<unknown>): AsyncGenerator<unknown> {
  yield* found
}
