// Copies of netref in one program: one that was installed twice, or bundled, or is loaded again by a test runner. What a
// program says of its objects and classes to one of them counts for all.

/** The version of this package. */
export const PACKAGE_VERSION = '0.1.0'

const SHARED_STATE = Symbol.for('netref')
const sharedState = (globalThis as { [SHARED_STATE]?: Record<string, unknown> })[SHARED_STATE] ?? {}
// A realm may be locked: then each copy is alone.
Reflect.defineProperty(globalThis, SHARED_STATE, { value: sharedState })

/** What all copies in this realm share under that name, which says of what form it is: a copy with another form has another name. */
export const sharedInRealm = <T>(name: string, make: () => T): T => (sharedState[name] ??= make()) as T

/** What a copy tells the others of itself. */
export interface LibraryCopy<Request = unknown> {
  /** Its version, and where it was loaded from. */
  readonly name: string
  /** Whether a netref of its has arrived: else it is a path, or a result that is still to come. */
  isResolvedNetref(netref: object): boolean
  /** An operation on a netref of its. */
  readonly request: Request
}

/** They are kept by their netrefs alone, so that one that was loaded again takes the place of one that is gone. */
const libraryCopies = sharedInRealm('copies/1', () => new Set<WeakRef<LibraryCopy>>())
const copiesByPrototype = sharedInRealm('netrefs/1', () => new WeakMap<object, LibraryCopy>())

/** Lets other copies know this one by the prototype of its netrefs. */
export function registerCopy<Request>(prototype: object, copy: Omit<LibraryCopy<Request>, 'name'>): void {
  const registered: LibraryCopy = Object.defineProperty({ ...copy, name: '' }, 'name', { get: thisCopyName })
  libraryCopies.add(new WeakRef(registered))
  copiesByPrototype.set(prototype, registered)
}

/** The copy whose netrefs have this prototype, where that is not this one alone. */
export const copyByPrototype = (prototype: object): LibraryCopy | undefined =>
  libraryCopies.size > 1 ? copiesByPrototype.get(prototype) : undefined

const copyBehind = (value: unknown): LibraryCopy | undefined =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'
    ? copiesByPrototype.get(Object.getPrototypeOf(value))
    : undefined

/** Whether it is a netref of any copy, a path of one, or a pending result. */
export const isNetref = (value: unknown): value is object => copyBehind(value) !== undefined

/** Whether it is a netref, of any copy, that has arrived. */
export const hasArrived = (value: unknown): value is object =>
  copyBehind(value)?.isResolvedNetref(value as object) === true

/** The version of this copy, and where it was loaded from, as the stack says. */
export function thisCopyName(): string {
  let location: string | undefined
  try {
    location = /(?:at |\(|@)((?:\w+:)?[/\\][^()\n]*?):\d+:\d+\)?$/m.exec(String(new Error().stack))?.[1]
  } catch {
    // A program's `Error.prepareStackTrace` fails.
  }
  return `${PACKAGE_VERSION} at ${location ?? 'a place unknown'}`
}

/** What to say of something of the copy with that name. */
export const foreignCopyMessage = (name: string): string =>
  `of another copy of netref (${name}; this one is ${thisCopyName()}): let the program have one, see \`npm ls netref\``

/** What to say where something may be of another copy; empty where there is none. */
export function duplicateCopiesNote(): string {
  const names = [...libraryCopies].flatMap(copy => copy.deref()?.name ?? [])
  return names.length > 1
    ? ` (there are ${names.length} copies of netref in this program: ${names.join(', ')})`
    : ''
}
