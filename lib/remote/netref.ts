// `Netref.*`: operations on a netref that are not members of the remote object, as `Reflect` has them for local ones.

import { markConfidential } from '../codec/confidential-errors.js'
import { ignoreRejections } from '../codec/dispose.js'
import { lend } from '../codec/lend.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { Description } from '../types/description.js'
import type {
  ExposedKey,
  ExposedMember,
  NetrefBrand,
  Netref as NetrefOf,
  Obtained,
  RemoteHandle,
  RemotePath,
  Sendable
} from '../types/netref.js'
import type { Session } from '../types/session.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { describeValue } from '../util/describe.js'
import { foreignCopyMessage, hasArrived } from '../util/library-copies.js'
import { markTransferred } from '../util/transfer.js'
import type { Signal } from '../util/web-types.js'
import { type CallOptions, checkCallOptions } from './call-options.js'
import { listenerKindOf } from './listener-kind.js'
import { appendKey, handlerOf, type NetrefHandler, packageCopyOf, Reference, withOptions } from './proxy.js'
import { streamReferenceOf } from './streams/registry.js'

function requireHandler(netref: unknown, helper: string): NetrefHandler {
  const handler = handlerOf(netref)
  if (handler) return handler
  const copy = packageCopyOf(netref)
  if (copy) throw new TypeError(`Netref.${helper}: the netref is ${foreignCopyMessage(copy.name)}`)
  throw new TypeError(
    `Netref.${helper}: ${typeof netref === 'function' ? 'a local function' : describeValue(netref)} is not a netref`
  )
}

/** Sends one operation. Does not throw: errors reject the result. */
function sendOperation(
  op: OperationCode,
  helper: string,
  netref: unknown,
  keys: PropertyKey[],
  operand?: unknown
): object {
  try {
    const { base, path, options } = requireHandler(netref, helper)
    return base.request(op, keys.reduce(appendKey, path), operand, options).proxy
  } catch (error) {
    ignoreRejections(operand)
    return Promise.reject(error)
  }
}

const NETREF_SCHEMA: StandardSchema<unknown> = {
  '~standard': {
    version: 1,
    vendor: 'netref',
    validate: value =>
      hasArrived(value)
        ? { value }
        : { issues: [{ message: `expected a netref, received ${describeValue(value)}` }] }
  }
}

const CALL_OPTION_KINDS: OptionTypes<CallOptions> = {
  signal: '',
  timeout: '',
  window: '',
  idempotencyKey: ''
}

/**
 * The type of a netref to a `T`: what a proxy for a remote `T` can do. It has the exposed members of the T, each with a
 * result that is awaited.
 *
 * @example
 * class Files extends Service {
 *   async exposed_count(file: Netref<TextFile>) {
 *     return (await file.readlines()).length
 *   }
 * }
 */
export type Netref<T> = NetrefOf<T>

/**
 * Operations on a netref that are not members of the remote object, as `Reflect` has them for local objects. Those that send
 * return a promise, and never throw.
 */
export const Netref = {
  /**
   * Whether a value is a netref, of any copy of this package, and not a path or a pending result. Sends nothing.
   *
   * @example
   * const file = await conn.root.open('notes.txt')
   * console.log(Netref.is(file), Netref.is({})) // true false
   */
  is(value: unknown): value is NetrefOf<unknown> {
    return hasArrived(value)
  },

  /**
   * Releases the remote object now, instead of when the garbage collector finds the netref unreachable. Later use of it
   * rejects with `released`. A second release does nothing, and neither does the release of a root. It also takes an
   * iterator, a promise or a signal that the peer sent.
   *
   * @throws TypeError for a value that is not a netref, or has not arrived yet
   * @example
   * const file = await conn.root.open('notes.txt')
   * Netref.release(file) // or, at the end of a block: using file = await conn.root.open('notes.txt')
   */
  release(netref: NetrefBrand<unknown> | AsyncIterator<unknown> | PromiseLike<unknown> | Signal): void {
    const reference = streamReferenceOf(netref) ?? requireHandler(netref, 'release').reference
    if (!reference)
      throw markConfidential(
        new TypeError(`Netref.release: ${handlerOf(netref)!.label} has not arrived yet: await it first`)
      )
    reference.session.release(reference)
  },

  /**
   * The path to a member with any name, also one with a local meaning (`then`, `toJSON`), or with a symbol. It is a
   * path like any other: nothing is sent before it is awaited or called.
   *
   * @throws TypeError for a value that is not a netref, and for a symbol that only this process knows
   * @example
   * await Netref.get(ref, 'then')
   */
  get<T, K extends ExposedKey<T>>(netref: RemoteHandle<T>, key: K): RemotePath<ExposedMember<T, K>> {
    const handler = requireHandler(netref, 'get')
    return handler.pathProxy(appendKey(handler.path, key)) as RemotePath<ExposedMember<T, K>>
  },

  /**
   * Sets a member. The owner must allow it: `allowSetAttrs`, or `expose(…, { write })`. Otherwise it rejects with an
   * ExposureError.
   *
   * @example
   * await Netref.set(ref, 'title', 'Notes')
   */
  set<T, K extends ExposedKey<T>>(
    netref: RemoteHandle<T>,
    key: K,
    value: Sendable<ExposedMember<T, K>>
  ): Promise<void> {
    return sendOperation(Op.set, 'set', netref, [key], value) as Promise<void>
  },

  /**
   * Whether the object has a member with that name which this peer may use.
   *
   * @example
   * if (await Netref.has(ref, 'save')) await ref.save()
   */
  has(netref: RemoteHandle<unknown>, key: PropertyKey): Promise<boolean> {
    return sendOperation(Op.has, 'has', netref, [key]) as Promise<boolean>
  },

  /**
   * Deletes a member. The owner must allow it: `allowDeleteAttrs`, or `expose(…, { write })`. Otherwise it rejects with an
   * ExposureError.
   *
   * @example
   * await Netref.delete(ref, 'title')
   */
  delete<T>(netref: RemoteHandle<T>, key: ExposedKey<T>): Promise<void> {
    return sendOperation(Op.delete, 'delete', netref, [key]) as Promise<void>
  },

  /**
   * The names of the members that this peer may use. Rejects with `not-exposed` if the owner sets `describe: false`.
   *
   * @example
   * console.log(await Netref.keys(ref)) // ['title', 'save']
   */
  keys<T>(netref: RemoteHandle<T>): Promise<ExposedKey<T>[]> {
    return sendOperation(Op.keys, 'keys', netref, []) as Promise<ExposedKey<T>[]>
  },

  /**
   * A copy of the remote object's data that this peer may read. It is a plain object without the methods; for an array,
   * Map or Set it is of the same kind. Getters run once. References in the data stay references.
   *
   * @example
   * const { title, author } = await Netref.obtain(book)
   */
  obtain<T>(netref: RemoteHandle<T>): Promise<Obtained<T>> {
    return sendOperation(Op.obtain, 'obtain', netref, []) as Promise<Obtained<T>>
  },

  /**
   * The same netref, path or result, with options for every call made through it and its members. Sends nothing. If it
   * is sent as a value, the options have no effect.
   *
   * @throws TypeError for a value that is not a netref, and for invalid options
   * @example
   * const found = await Netref.with(root.search, { timeout: 1000, signal })('words')
   */
  with<R extends RemoteHandle<unknown>>(netref: R, options: CallOptions): R {
    const handler = requireHandler(netref, 'with')
    checkOptions('Netref.with', options, CALL_OPTION_KINDS)
    checkCallOptions(options)
    if (options.idempotencyKey !== undefined && !(handler.base instanceof Reference && handler.base.id === 0))
      throw new TypeError('Netref.with: `idempotencyKey` applies only to calls of a path from the root')
    return withOptions(handler, options) as R
  },

  /**
   * The remote function, called without a reply. The caller gets neither result nor error: an error goes to the owner's
   * `onError`. The promise resolves when there is room to send more, so a loop that awaits it gets back-pressure.
   *
   * @throws TypeError for a value that is not a netref
   * @example
   * const log = Netref.oneway(conn.root.log)
   * for (const line of lines) await log(line)
   */
  oneway<A extends unknown[]>(
    netref: RemoteHandle<unknown> & ((...args: A) => unknown)
  ): (...args: A) => Promise<void> {
    requireHandler(netref, 'oneway')
    return function call(this: unknown, ...args) {
      // The closure must hold the netref: its handler does not.
      const { base, path, options } = requireHandler(netref, 'oneway')
      const result = base.request(Op.oneway, path, args, options)
      result.listenerKind = listenerKindOf(this, args, call)
      return result.proxy as Promise<void>
    }
  },

  /**
   * A Standard Schema that accepts netrefs only, for one argument of a list in another schema library. If that library
   * takes predicates, `Netref.is` does the same.
   *
   * @example
   * ```ts
   * class News extends Service {
   *   @exposed(type(['string', Netref.schema<Listener>()]))
   *   subscribe(topic: string, listener: Netref<Listener>) { topics.get(topic)?.add(listener) }
   * }
   * ```
   */
  schema<T>(): StandardSchema<NetrefOf<T>> {
    return NETREF_SCHEMA as StandardSchema<NetrefOf<T>>
  },

  /**
   * Describes the members that this peer may use, one entry for each of `Netref.keys`: kind, parameters and help text.
   * Rejects with `not-exposed` if the owner sets `describe: false`.
   *
   * @example
   * await Netref.describe(conn.root) // [{ name: 'add', kind: 'function', parameters: ['a', 'b'], help: 'Adds up' }]
   */
  describe(netref: RemoteHandle<unknown>): Promise<Description[]> {
    return sendOperation(Op.describe, 'describe', netref, []) as Promise<Description[]>
  },

  /**
   * Lends a function or object for one call. The peer's netref is released when the call settles, also if it fails or
   * is cancelled; later use of it rejects with `released`. A call whose reply is an iterator settles with that reply. A
   * one-way call settles when its function is done. Any value that is passed by reference can be lent, at any depth of
   * the arguments of a call. If it is also sent without `lend`, the peer keeps that reference.
   *
   * @returns the value to pass in the arguments
   * @throws TypeError for a value that is not passed by reference
   * @example
   * await conn.root.each(lines, Netref.lend(line => console.log(line)))
   */
  lend<T extends object>(object: T): T {
    return lend(object)
  },

  /**
   * Transfers bytes: they leave with the next message that contains them, and their buffer is detached here. A message
   * port (a Worker, a thread, an iframe) moves them without a copy, up to `limits.frameBytes`. Other transports send
   * them as usual.
   *
   * @returns the same bytes
   * @throws TypeError for a value that is not bytes, and for a view of a part of its buffer
   * @example
   * const pixels = await worker.root.blur(Netref.transfer(image.data))
   */
  transfer<B extends ArrayBuffer | ArrayBufferView>(bytes: B): B {
    markTransferred(bytes)
    return bytes
  },

  /**
   * The session of a netref.
   *
   * @throws TypeError for a value that is not a netref
   * @example
   * const { state } = Netref.session(ref)
   */
  session(netref: RemoteHandle<unknown>): Session {
    const { base } = requireHandler(netref, 'session')
    return base.session
  }
}
