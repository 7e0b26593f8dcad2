// `Netref.*`: what can be done with a netref besides using it. The async twin of `Reflect`.

import { ignoreRejections } from '../codec/dispose.js'
import { lend } from '../codec/lend.js'
import { markConfidential } from '../codec/peer-errors.js'
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
import { foreignCopyMessage, hasArrived } from '../util/copies.js'
import { describe } from '../util/describe.js'
import { markTransferred } from '../util/transfer.js'
import type { Signal } from '../util/web-types.js'
import { type CallOptions, checkCallOptions } from './call-options.js'
import { listenerKindOf } from './listening.js'
import { appendKey, handlerOf, type NetrefHandler, packageCopyOf, Reference, withOptions } from './proxy.js'
import { referenceOf } from './streams/streams.js'

function requireHandler(netref: unknown, helper: string): NetrefHandler {
  const handler = handlerOf(netref)
  if (handler) return handler
  const copy = packageCopyOf(netref)
  if (copy) throw new TypeError(`Netref.${helper}: the netref is ${foreignCopyMessage(copy.name)}`)
  throw new TypeError(
    `Netref.${helper}: ${typeof netref === 'function' ? 'a local function' : describe(netref)} is not a netref`
  )
}

/** Sends one operation. Never throws: what goes wrong rejects what it returns. */
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
        : { issues: [{ message: `expected a netref, received ${describe(value)}` }] }
  }
}

const CALL_OPTION_KINDS: OptionTypes<CallOptions> = {
  signal: '',
  timeout: '',
  window: '',
  idempotencyKey: ''
}

/** The type of a netref to a `T`: what a proxy for a remote `T` can do. */
export type Netref<T> = NetrefOf<T>

/** Everything about a netref that is not a member of the remote object. */
export const Netref = {
  /** Whether a value is a netref that has arrived, of any copy of netref; sends nothing. */
  is(value: unknown): value is NetrefOf<unknown> {
    return hasArrived(value)
  },

  /**
   * Lets go of the remote object now, not when the collector finds that nobody holds the netref. Later use of it
   * rejects with `released`; a second release does nothing, and neither does one of a root. An iterator, promise or
   * signal of the other side can be let go of, too.
   *
   * @throws TypeError for what is no netref, or has not arrived
   * @example
   * const file = await conn.root.open('notes.txt')
   * try { … } finally { Netref.release(file) }   // or: using file = await conn.root.open('notes.txt')
   */
  release(netref: NetrefBrand<unknown> | AsyncIterator<unknown> | PromiseLike<unknown> | Signal): void {
    const ref = referenceOf(netref) ?? requireHandler(netref, 'release').reference
    if (!ref)
      throw markConfidential(
        new TypeError(`Netref.release: ${handlerOf(netref)!.label} is not here yet: await it first`)
      )
    ref.session.release(ref)
  },

  /**
   * A member by any name, also one that has a local meaning (`then`, `toJSON`), or a symbol. A path like any other:
   * nothing is sent before it is awaited or called.
   *
   * @throws TypeError for what is no netref, or a symbol that only this process knows
   * @example
   * await Netref.get(ref, 'then')
   */
  get<T, K extends ExposedKey<T>>(netref: RemoteHandle<T>, key: K): RemotePath<ExposedMember<T, K>> {
    const state = requireHandler(netref, 'get')
    return state.pathProxy(appendKey(state.path, key)) as RemotePath<ExposedMember<T, K>>
  },

  /**
   * Sets a member, where its home allows that: `allowSetAttrs`, or `expose(…, { write })`.
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

  /** Whether there is such a member, for this peer. */
  has(netref: RemoteHandle<unknown>, key: PropertyKey): Promise<boolean> {
    return sendOperation(Op.has, 'has', netref, [key]) as Promise<boolean>
  },

  /** Deletes a member, where its home allows that: `allowDeleteAttrs`, or `expose(…, { write })`. */
  delete<T>(netref: RemoteHandle<T>, key: ExposedKey<T>): Promise<void> {
    return sendOperation(Op.delete, 'delete', netref, [key]) as Promise<void>
  },

  /** The names of the members this peer may use. */
  keys<T>(netref: RemoteHandle<T>): Promise<ExposedKey<T>[]> {
    return sendOperation(Op.keys, 'keys', netref, []) as Promise<ExposedKey<T>[]>
  },

  /**
   * A copy of the data of a remote object that this peer may read: a plain object without the methods, or an array,
   * Map or Set if that is what it is. Getters run once; references inside stay references.
   *
   * @example
   * const { title, author } = await Netref.obtain(book)
   */
  obtain<T>(netref: RemoteHandle<T>): Promise<Obtained<T>> {
    return sendOperation(Op.obtain, 'obtain', netref, []) as Promise<Obtained<T>>
  },

  /**
   * The same netref, path or result, with options that hold for every call made through it and its members. Sends
   * nothing; sent as a value it is what it was made of.
   *
   * @throws TypeError for what is no netref, and for options that cannot be meant
   * @example
   * const found = await Netref.with(root.search, { timeout: 1000, signal })('words')
   */
  with<R extends RemoteHandle<unknown>>(netref: R, options: CallOptions): R {
    const state = requireHandler(netref, 'with')
    checkOptions('Netref.with', options, CALL_OPTION_KINDS)
    checkCallOptions(options)
    if (options.idempotencyKey !== undefined && !(state.base instanceof Reference && state.base.id === 0))
      throw new TypeError('Netref.with: `idempotencyKey` is for what is called from the root, by its path')
    return withOptions(state, options) as R
  },

  /**
   * The remote function, called without an answer: what it returns or throws is not told here; a failure reaches its
   * home's `onError`. The promise resolves when there is room to send more, so that a loop that awaits it is paced.
   *
   * @throws TypeError for what is no netref
   * @example
   * const log = Netref.oneway(conn.root.log)
   * for (const line of lines) await log(line)
   */
  oneway<A extends unknown[]>(
    netref: RemoteHandle<unknown> & ((...args: A) => unknown)
  ): (...args: A) => Promise<void> {
    requireHandler(netref, 'oneway')
    return function call(this: unknown, ...args) {
      // The function holds the netref: what stands behind it does not.
      const { base, path, options } = requireHandler(netref, 'oneway')
      const result = base.request(Op.oneway, path, args, options)
      result.listenerKind = listenerKindOf(this, args, call)
      return result.proxy as Promise<void>
    }
  },

  /**
   * A Standard Schema that takes netrefs, and nothing else: for one argument of a list, in a library that takes schemas
   * of others. Where it takes functions, `Netref.is` does the same.
   *
   * @example
   * @exposed(type(['string', Netref.schema<Listener>()])) subscribe(topic: string, listener: Netref<Listener>) { … }
   */
  schema<T>(): StandardSchema<NetrefOf<T>> {
    return NETREF_SCHEMA as StandardSchema<NetrefOf<T>>
  },

  /**
   * The members this peer may use, one for each of `Netref.keys`: what they are, what they take, and what their home
   * says they are for. Rejects with `not-exposed` where the home says `describe: false`.
   *
   * @example
   * await Netref.describe(conn.root) // [{ name: 'add', kind: 'function', parameters: ['a', 'b'], help: 'Adds up' }]
   */
  describe(netref: RemoteHandle<unknown>): Promise<Description[]> {
    return sendOperation(Op.describe, 'describe', netref, []) as Promise<Description[]>
  },

  /**
   * A function or object that is lent for one call: what stands for it over there is released when the call settles, also
   * as it fails or is given up. A later use rejects with `released`, and nothing is held. A call that answers with an
   * iterator settles with that answer, a one-way call when its function is done. Whatever goes by reference can be lent,
   * at any depth of the arguments of a call; what is handed over in other ways as well lives on there.
   *
   * @returns what stands for it in arguments
   * @throws TypeError for what does not go by reference
   * @example
   * await conn.root.each(lines, Netref.lend(line => console.log(line)))
   */
  lend<T extends object>(object: T): T {
    return lend(object)
  },

  /**
   * Bytes that are given up: they go with the next message that they are in, and their buffer is empty here from then
   * on. Over a port (a Worker, a thread, an iframe) they move and are never copied, as many as a frame may have
   * (`limits.frameBytes`); over everything else they are sent as ever.
   *
   * @returns the bytes themselves
   * @throws TypeError for what is no bytes, or a view of a part of its buffer, which would go as a whole
   * @example
   * const pixels = await worker.root.blur(Netref.transfer(image.data))
   */
  transfer<B extends ArrayBuffer | ArrayBufferView>(bytes: B): B {
    markTransferred(bytes)
    return bytes
  },

  /** The session a netref belongs to. @throws TypeError for what is no netref */
  session(netref: RemoteHandle<unknown>): Session {
    const { base } = requireHandler(netref, 'session')
    return base.session
  }
}
