// Copies of netref in one program: one that was installed twice, or bundled, or is loaded again by a test runner. What a
// program says of its objects and classes to one of them counts for all.

/** The version of this package. */
export const PACKAGE_VERSION = '0.1.0'

const COMMON = Symbol.for('netref')
const common = (globalThis as { [COMMON]?: Record<string, unknown> })[COMMON] ?? {}
// A realm may be locked: then each copy is alone.
Reflect.defineProperty(globalThis, COMMON, { value: common })

/** What all copies in this realm share under that name, which says of what form it is: a copy with another form has another name. */
export const shared = <T>(name: string, make: () => T): T => (common[name] ??= make()) as T

/** What a copy tells the others of itself. */
export interface Copy<Request = unknown> {
  /** Its version, and where it was loaded from. */
  readonly name: string
  /** Whether a netref of its has arrived: else it is a path, or a result that is still to come. */
  hasArrived(netref: object): boolean
  /** An operation on a netref of its. */
  readonly request: Request
}

/** They are kept by their netrefs alone, so that one that was loaded again takes the place of one that is gone. */
const copies = shared('copies/1', () => new Set<WeakRef<Copy>>())
const byPrototype = shared('netrefs/1', () => new WeakMap<object, Copy>())

/** Lets other copies know this one by the prototype of its netrefs. */
export function introduce<Request>(prototype: object, copy: Omit<Copy<Request>, 'name'>): void {
  const known: Copy = Object.defineProperty({ ...copy, name: '' }, 'name', { get: nameOfThis })
  copies.add(new WeakRef(known))
  byPrototype.set(prototype, known)
}

/** The copy whose netrefs have this prototype, where that is not this one alone. */
export const copyWith = (prototype: object): Copy | undefined =>
  copies.size > 1 ? byPrototype.get(prototype) : undefined

const copyBehind = (value: unknown): Copy | undefined =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'
    ? byPrototype.get(Object.getPrototypeOf(value))
    : undefined

/** Whether it is a netref of any copy, a path of one, or a pending result. */
export const isNetref = (value: unknown): value is object => copyBehind(value) !== undefined

/** Whether it is a netref, of any copy, that has arrived. */
export const hasArrived = (value: unknown): value is object =>
  copyBehind(value)?.hasArrived(value as object) === true

/** The version of this copy, and where it was loaded from, as the stack says. */
export function nameOfThis(): string {
  let place: string | undefined
  try {
    place = /(?:at |\(|@)((?:\w+:)?[/\\][^()\n]*?):\d+:\d+\)?$/m.exec(String(new Error().stack))?.[1]
  } catch {
    // A program's `Error.prepareStackTrace` fails.
  }
  return `${PACKAGE_VERSION} at ${place ?? 'a place unknown'}`
}

/** What to say of something of the copy with that name. */
export const ofAnotherCopy = (name: string): string =>
  `of another copy of netref (${name}; this one is ${nameOfThis()}): let the program have one, see \`npm ls netref\``

/** What to say where something may be of another copy; empty where there is none. */
export function otherCopies(): string {
  const names = [...copies].flatMap(copy => copy.deref()?.name ?? [])
  return names.length > 1
    ? ` (there are ${names.length} copies of netref in this program: ${names.join(', ')})`
    : ''
}
