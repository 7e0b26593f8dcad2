// `Netref.*`: what can be done with a netref besides using it. The async twin of `Reflect`.

import { silenceAll } from '../codec/dispose.js'
import { lend } from '../codec/lend.js'
import { aboutCall } from '../codec/peer-errors.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { Description } from '../types/description.js'
import type {
  Key,
  Member,
  Netref as NetrefOf,
  Obtained,
  Path,
  Reach,
  Reference,
  Sendable
} from '../types/netref.js'
import type { Session } from '../types/session.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { checkOptions, type OptionKinds } from '../util/check-options.js'
import { hasArrived, ofAnotherCopy } from '../util/copies.js'
import { describe } from '../util/describe.js'
import { giveUp } from '../util/transfer.js'
import type { Signal } from '../util/web-types.js'
import { type CallOptions, checkCallOptions } from './call-options.js'
import { listeningOf } from './listening.js'
import { copyBehind, extend, type Handler, Ref, stateOf, viewOf } from './proxy.js'
import { refBehind } from './streams/streams.js'

function handlerOf(netref: unknown, what: string): Handler {
  const state = stateOf(netref)
  if (state) return state
  const copy = copyBehind(netref)
  if (copy) throw new TypeError(`Netref.${what}: the netref is ${ofAnotherCopy(copy.name)}`)
  throw new TypeError(
    `Netref.${what}: ${typeof netref === 'function' ? 'a local function' : describe(netref)} is not a netref`
  )
}

/** Sends one operation. Never throws: what goes wrong rejects what it returns. */
function operation(
  op: OperationCode,
  what: string,
  netref: unknown,
  keys: PropertyKey[],
  operand?: unknown
): object {
  try {
    const { base, path, options } = handlerOf(netref, what)
    return base.request(op, keys.reduce(extend, path), operand, options).proxy
  } catch (error) {
    silenceAll(operand)
    return Promise.reject(error)
  }
}

const NETREFS: StandardSchema<unknown> = {
  '~standard': {
    version: 1,
    vendor: 'netref',
    validate: value =>
      hasArrived(value)
        ? { value }
        : { issues: [{ message: `expected a netref, received ${describe(value)}` }] }
  }
}

const CALL_OPTIONS: OptionKinds<CallOptions> = {
  signal: '',
  timeout: '',
  window: '',
  key: ''
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
  release(netref: Reference<unknown> | AsyncIterator<unknown> | PromiseLike<unknown> | Signal): void {
    const ref = refBehind(netref) ?? handlerOf(netref, 'release').ref
    if (!ref)
      throw aboutCall(
        new TypeError(`Netref.release: ${stateOf(netref)!.label} is not here yet: await it first`)
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
  get<T, K extends Key<T>>(netref: Reach<T>, key: K): Path<Member<T, K>> {
    const state = handlerOf(netref, 'get')
    return state.step(extend(state.path, key)) as Path<Member<T, K>>
  },

  /**
   * Sets a member, where its home allows that: `allowSetAttrs`, or `expose(…, { write })`.
   *
   * @example
   * await Netref.set(ref, 'title', 'Notes')
   */
  set<T, K extends Key<T>>(netref: Reach<T>, key: K, value: Sendable<Member<T, K>>): Promise<void> {
    return operation(Op.set, 'set', netref, [key], value) as Promise<void>
  },

  /** Whether there is such a member, for this peer. */
  has(netref: Reach<unknown>, key: PropertyKey): Promise<boolean> {
    return operation(Op.has, 'has', netref, [key]) as Promise<boolean>
  },

  /** Deletes a member, where its home allows that: `allowDeleteAttrs`, or `expose(…, { write })`. */
  delete<T>(netref: Reach<T>, key: Key<T>): Promise<void> {
    return operation(Op.delete, 'delete', netref, [key]) as Promise<void>
  },

  /** The names of the members this peer may use. */
  keys<T>(netref: Reach<T>): Promise<Key<T>[]> {
    return operation(Op.keys, 'keys', netref, []) as Promise<Key<T>[]>
  },

  /**
   * A copy of the data of a remote object that this peer may read: a plain object without the methods, or an array,
   * Map or Set if that is what it is. Getters run once; references inside stay references.
   *
   * @example
   * const { title, author } = await Netref.obtain(book)
   */
  obtain<T>(netref: Reach<T>): Promise<Obtained<T>> {
    return operation(Op.obtain, 'obtain', netref, []) as Promise<Obtained<T>>
  },

  /**
   * The same netref, path or result, with options that hold for every call made through it and its members. Sends
   * nothing; sent as a value it is what it was made of.
   *
   * @throws TypeError for what is no netref, and for options that cannot be meant
   * @example
   * const found = await Netref.with(root.search, { timeout: 1000, signal })('words')
   */
  with<R extends Reach<unknown>>(netref: R, options: CallOptions): R {
    const state = handlerOf(netref, 'with')
    checkOptions('Netref.with', options, CALL_OPTIONS)
    checkCallOptions(options)
    if (options.key !== undefined && !(state.base instanceof Ref && state.base.id === 0))
      throw new TypeError('Netref.with: `key` is for what is called from the root, by its path')
    return viewOf(state, options) as R
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
    netref: Reach<unknown> & ((...args: A) => unknown)
  ): (...args: A) => Promise<void> {
    handlerOf(netref, 'oneway')
    return function call(this: unknown, ...args) {
      // The function holds the netref: what stands behind it does not.
      const { base, path, options } = handlerOf(netref, 'oneway')
      const result = base.request(Op.oneway, path, args, options)
      result.listening = listeningOf(this, args, call)
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
    return NETREFS as StandardSchema<NetrefOf<T>>
  },

  /**
   * The members this peer may use, one for each of `Netref.keys`: what they are, what they take, and what their home
   * says they are for. Rejects with `not-exposed` where the home says `describe: false`.
   *
   * @example
   * await Netref.describe(conn.root) // [{ name: 'add', kind: 'function', parameters: ['a', 'b'], help: 'Adds up' }]
   */
  describe(netref: Reach<unknown>): Promise<Description[]> {
    return operation(Op.describe, 'describe', netref, []) as Promise<Description[]>
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
    giveUp(bytes)
    return bytes
  },

  /** The session a netref belongs to. @throws TypeError for what is no netref */
  session(netref: Reach<unknown>): Session {
    const { base } = handlerOf(netref, 'session')
    return base.session
  }
}
