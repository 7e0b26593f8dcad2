// Serves the requests of Python on objects of this side.

import { isDeepStrictEqual } from 'node:util'
import { describeValue } from '../../util/describe.js'
import { NOT_IMPLEMENTED } from './brine.js'
import { pickle } from './pickle.js'
import { Handler, type HandlerCode } from './protocol.js'
import { pythonError } from './python-error.js'
import { MappingView, type View } from './view.js'

/** A request on an object. It returns a value or a promise of it, or throws. */
export type ObjectRequest = (view: View, args: readonly unknown[], settings: RequestSettings) => unknown

export interface RequestSettings {
  /** Maximum number of items in a batch of an iterator. */
  readonly maxItems: number
  /** Maximum depth of pickled data. */
  readonly depth: number
}

/** Requests whose arguments are copied: those that go to the service. */
export const takesCopies = (handler: unknown): boolean =>
  handler === Handler.call ||
  handler === Handler.callAttribute ||
  handler === Handler.setAttribute ||
  handler === Handler.compare

/** The requests on an object, which is the first argument, by handler. Those of the connection are elsewhere. */
export const OBJECT_REQUESTS: ReadonlyMap<unknown, ObjectRequest> = new Map<HandlerCode, ObjectRequest>([
  [Handler.getAttribute, (view, [name]) => view.get(nameOf(name))],
  [Handler.deleteAttribute, (view, [name]) => view.delete(nameOf(name))],
  [Handler.setAttribute, (view, [name, value]) => view.set(nameOf(name), value)],
  [Handler.call, (view, [args]) => view.call(argumentsOf(args))],
  [Handler.callAttribute, (view, [name, args]) => view.callMember(nameOf(name), argumentsOf(args))],
  [Handler.repr, view => `<${view}>`],
  [Handler.str, view => String(view)],
  [Handler.compare, (view, [other, operator]) => compare(view, other, operator)],
  [Handler.dir, view => view.dir()],
  [Handler.pickle, (view, _, { depth }) => pickle(view.value, depth)],
  [
    Handler.buffiter,
    (view, [count], { maxItems }) => {
      if (typeof count !== 'number') throw pythonError('TypeError', `${describeValue(count)} is no count`)
      return view.take(Math.min(count, maxItems))
    }
  ],
  [
    Handler.oldSlicing,
    () => {
      throw pythonError('ValueError', 'slices are not supported')
    }
  ],
  [Handler.contextExit, view => view.exit()],
  [Handler.instanceCheck, () => false]
])

/** Whether no object occurs twice in a value. Others take time that grows with the number of paths in them. */
function isTree(value: object): boolean {
  const seen = new Set<object>()
  const isNew = (part: unknown): boolean => {
    if (typeof part !== 'object' || part === null || ArrayBuffer.isView(part)) return true
    if (seen.has(part)) return false
    seen.add(part)
    const parts =
      part instanceof Map ? [...part].flat() : part instanceof Set ? [...part] : Object.values(part)
    return parts.every(isNew)
  }
  return isNew(value)
}

function compare(view: View, other: unknown, operator: unknown): unknown {
  if (operator !== '__eq__' && operator !== '__ne__') return NOT_IMPLEMENTED
  const isEqual =
    other === view.value ||
    (view instanceof MappingView && isTree(view.value) && isDeepStrictEqual(other, view.value))
  return isEqual === (operator === '__eq__')
}

/** A name, which Python may send as bytes. */
export function nameOf(name: unknown): string {
  if (typeof name === 'string') return name
  if (name instanceof Uint8Array) return Buffer.from(name).toString()
  throw pythonError('TypeError', 'a name must be a string')
}

export function argumentsOf(args: unknown): unknown[] {
  if (Array.isArray(args)) return args
  throw pythonError('TypeError', 'arguments must be a tuple')
}

/** Keyword arguments: a tuple of names and values. */
export function keywordsOf(keywords: unknown): Readonly<Record<string, unknown>> {
  const entries = argumentsOf(keywords ?? []).map(entry => {
    const [name, value] = argumentsOf(entry)
    return [nameOf(name), value] as const
  })
  return Object.fromEntries(entries)
}
