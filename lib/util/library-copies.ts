// Several copies of netref in one program: installed twice, bundled, or loaded again by a test runner. They share what a
// program has declared about its objects and classes.

/** The version of this package. */
export const PACKAGE_VERSION = '0.1.0'

const SHARED_STATE = Symbol.for('netref')
const sharedState = (globalThis as { [SHARED_STATE]?: Record<string, unknown> })[SHARED_STATE] ?? {}
// In a locked realm this fails, and copies share nothing.
Reflect.defineProperty(globalThis, SHARED_STATE, { value: sharedState })

/** State that all copies in this realm share. The name ends in the version of its form: another form needs another name. */
export const sharedInRealm = <T>(name: string, make: () => T): T => (sharedState[name] ??= make()) as T

/** A copy of netref, as the other copies see it. */
export interface LibraryCopy<Request = unknown> {
  /** The version, and where the copy was loaded from. */
  readonly name: string
  /** Whether one of its netrefs has arrived. A path and a pending result have not. */
  isResolvedNetref(netref: object): boolean
  /** Performs an operation on one of its netrefs. */
  readonly request: Request
}

/** Only its netrefs keep a copy alive, so that a reloaded module replaces it. */
const libraryCopies = sharedInRealm('copies/1', () => new Set<WeakRef<LibraryCopy>>())
const copiesByPrototype = sharedInRealm('netrefs/1', () => new WeakMap<object, LibraryCopy>())

/** Registers this copy, by the prototype of its netrefs. */
export function registerCopy<Request>(prototype: object, copy: Omit<LibraryCopy<Request>, 'name'>): void {
  const registered: LibraryCopy = Object.defineProperty({ ...copy, name: '' }, 'name', { get: thisCopyName })
  libraryCopies.add(new WeakRef(registered))
  copiesByPrototype.set(prototype, registered)
}

/** The copy whose netrefs have this prototype; undefined if there is one copy only. */
export const copyByPrototype = (prototype: object): LibraryCopy | undefined =>
  libraryCopies.size > 1 ? copiesByPrototype.get(prototype) : undefined

const copyOf = (value: unknown): LibraryCopy | undefined =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'
    ? copiesByPrototype.get(Object.getPrototypeOf(value))
    : undefined

/** Whether a value is a netref, a path or a pending result, of any copy. */
export const isNetref = (value: unknown): value is object => copyOf(value) !== undefined

/** Whether a value is a netref of any copy that has arrived. */
export const hasArrived = (value: unknown): value is object =>
  copyOf(value)?.isResolvedNetref(value as object) === true

/** The version of this copy, and where it was loaded from, according to the stack. */
export function thisCopyName(): string {
  let location: string | undefined
  try {
    location = /(?:at |\(|@)((?:\w+:)?[/\\][^()\n]*?):\d+:\d+\)?$/m.exec(String(new Error().stack))?.[1]
  } catch {
    // A program's `Error.prepareStackTrace` fails.
  }
  return `${PACKAGE_VERSION} at ${location ?? 'an unknown place'}`
}

/** The end of an error text about a value of another copy. */
export const foreignCopyMessage = (name: string): string =>
  `of another copy of netref (${name}; this one is ${thisCopyName()}): install one copy only, see \`npm ls netref\``

/** A note for error texts that other copies may have caused; empty if there are none. */
export function duplicateCopiesNote(): string {
  const names = [...libraryCopies].flatMap(copy => copy.deref()?.name ?? [])
  return names.length > 1
    ? ` (there are ${names.length} copies of netref in this program: ${names.join(', ')})`
    : ''
}
