// `Netref.*`: what can be done with a netref besides using it. The async twin of `Reflect`.

import { describe } from './labels.js'
import { extend, type Handler, Ref, stateOf, stepTo } from './netref.js'
import { Op, type OperationCode } from './protocol.js'
import type { Session } from './session.js'
import type { Key, Member, Netref as NetrefOf, Path, Reach, Reference, Sendable } from './types.js'

function handlerOf(netref: unknown, what: string): Handler {
  const state = stateOf(netref)
  if (state) return state
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
    const { base, path } = handlerOf(netref, what)
    return base.request(op, keys.reduce(extend, path), operand).proxy
  } catch (error) {
    return Promise.reject(error)
  }
}

/** The type of a netref to a `T`: what a proxy for a remote `T` can do. */
export type Netref<T> = NetrefOf<T>

/** Everything about a netref that is not a member of the remote object. */
export const Netref = {
  /** Whether a value is a netref that has arrived; sends nothing. */
  is(value: unknown): value is NetrefOf<unknown> {
    return stateOf(value) instanceof Ref
  },

  /**
   * Lets go of the remote object now, not when the collector finds that nobody holds the netref. Later use of it
   * rejects with `released`; a second release does nothing, and neither does one of a root.
   *
   * @throws TypeError for what is no netref, or has not arrived
   * @example
   * const file = await conn.root.open('notes.txt')
   * try { … } finally { Netref.release(file) }   // or: using file = await conn.root.open('notes.txt')
   */
  release(netref: Reference<unknown>): void {
    const state = handlerOf(netref, 'release')
    if (!(state instanceof Ref))
      throw new TypeError(`Netref.release: ${state.label} is not here yet: await it first`)
    state.session.release(state)
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
    const { base, path } = handlerOf(netref, 'get')
    return stepTo(base, extend(path, key)) as Path<Member<T, K>>
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

  /** The session a netref belongs to. @throws TypeError for what is no netref */
  session(netref: Reach<unknown>): Session {
    const { base } = handlerOf(netref, 'session')
    return base.session as Session
  }
}
