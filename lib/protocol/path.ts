// Member names and paths, on the wire and in this process.
import { sharedInRealm } from '../util/library-copies.js'

/** The wire form of a symbol: a well-known one by name (`asyncIterator`), or one of `Symbol.for` by key. */
export type SymbolKey = readonly ['well-known' | 'for', string]
/** A member name in this process; its wire form is a `MemberKey`. */
export type MemberName = string | symbol
export type MemberKey = string | SymbolKey
/** The path from a target to a member: one name, or a list of keys. The empty list is the target itself. */
export type MemberPath = string | readonly MemberKey[]

/**
 * Symbols of `Symbol.for` that are member names here, by key. A key of a peer is looked up here only: engines never collect
 * a symbol of `Symbol.for`, so a peer must not create any.
 */
const knownSymbols = sharedInRealm('symbols/1', () => new Map<string, symbol>())

/** Registers a symbol of `Symbol.for` as a member name. */
export function registerSymbol(name: PropertyKey): void {
  const key = typeof name === 'symbol' ? Symbol.keyFor(name) : undefined
  if (key !== undefined) knownSymbols.set(key, name as symbol)
}

/** The wire form of a member name. @throws TypeError for a symbol that is neither well-known nor of `Symbol.for` */
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
  throw new TypeError(`${String(name)} is local to this process: use a string, or Symbol.for()`)
}

/** The member name of a key. An unknown symbol becomes a new one, which no object has. */
export function toMemberName(key: MemberKey): MemberName {
  if (typeof key === 'string') return key
  const known: unknown = key[0] === 'for' ? knownSymbols.get(key[1]) : Symbol[key[1] as keyof typeof Symbol]
  return typeof known === 'symbol' ? known : Symbol(key[1])
}

/** The keys of a path, as a list. */
export function pathKeys(path: MemberPath): readonly MemberKey[] {
  return typeof path === 'string' ? [path] : path
}
