// Names of members, on the wire and here.
import { sharedInRealm } from '../util/copies.js'

/** A symbol in a path: a well-known one by its name (`asyncIterator`), or one of `Symbol.for` by its key. */
export type SymbolKey = readonly ['well-known' | 'for', string]
/** A member's name in this process; on the wire it is a key. */
export type MemberName = string | symbol
export type MemberKey = string | SymbolKey
/** One name, or a list of keys: the empty list is the target itself. */
export type MemberPath = string | readonly MemberKey[]

/**
 * Symbols of `Symbol.for` that are a name here, by key. What a peer says is looked up here alone: no engine lets go of
 * a symbol that was once asked for by key.
 */
const knownSymbols = sharedInRealm('symbols/1', () => new Map<string, symbol>())

/** Lets a symbol of `Symbol.for` be the name of a member, for a peer too. */
export function registerSymbol(name: PropertyKey): void {
  const key = typeof name === 'symbol' ? Symbol.keyFor(name) : undefined
  if (key !== undefined) knownSymbols.set(key, name as symbol)
}

/** The wire form of a member's name. @throws TypeError for a symbol that is neither well-known nor of `Symbol.for`. */
export function toMemberKey(name: PropertyKey): MemberKey {
  if (typeof name !== 'symbol') return String(name)
  const key = Symbol.keyFor(name)
  if (key !== undefined) {
    registerSymbol(name)
    return ['for', key]
  }
  const known = Object.getOwnPropertyNames(Symbol).find(
    known => Symbol[known as keyof typeof Symbol] === name
  )
  if (known) return ['well-known', known]
  throw new TypeError(`${String(name)} is known to this process alone: use a name, or a symbol of Symbol.for`)
}

/** The name a key stands for. A symbol that is not known here is a name that nothing has. */
export function toMemberName(key: MemberKey): MemberName {
  if (typeof key === 'string') return key
  const known: unknown = key[0] === 'for' ? knownSymbols.get(key[1]) : Symbol[key[1] as keyof typeof Symbol]
  return typeof known === 'symbol' ? known : Symbol(key[1])
}

/** The keys of a path, as a list. */
export function pathKeys(path: MemberPath): readonly MemberKey[] {
  return typeof path === 'string' ? [path] : path
}
