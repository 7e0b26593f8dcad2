// The elements of XML-RPC: what each contains, and the value that it stands for.
import type { Limits } from '../../protocol/limits.js'
import { MalformedXmlError } from './malformed.js'
import { SCALARS } from './scalars.js'

/** A document. */
export type XmlRpcDocument =
  | { readonly kind: 'call'; readonly method: string; readonly params: readonly unknown[] }
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'fault'; readonly value: unknown }

export type ReadLimits = Pick<Limits, 'depth' | 'bigintDigits'>

/** A kind of element. */
export interface ElementType {
  /** The names of its n-th child. */
  readonly children: readonly ReadonlySet<string>[]
  /** Whether there may be any number of its one child. */
  readonly repeats: boolean
  /** Number of children that it must have. */
  readonly minChildren: number
  /** Whether it may contain text other than whitespace. */
  readonly hasText: boolean
  /** What it stands for. `values` are those of its children. */
  read(values: unknown[], text: string, limits: ReadLimits): unknown
}

type Read = ElementType['read']

const first: Read = ([value]) => value
const all: Read = values => values
const sequence = (children: string[][], read: Read, minChildren = children.length): ElementType => ({
  children: children.map(names => new Set(names)),
  repeats: false,
  minChildren,
  hasText: false,
  read
})
const many = (name: string, read: Read): ElementType => ({
  ...sequence([[name]], read, 0),
  repeats: true
})
const text = (read: Read): ElementType => ({ ...sequence([], read), hasText: true })

/** The element around the one of a document. */
export const DOCUMENT = sequence([['methodCall', 'methodResponse']], first)

/** By name. */
export const ELEMENTS: ReadonlyMap<string, ElementType> = new Map<string, ElementType>([
  ['methodCall', sequence([['methodName'], ['params']], toCall, 1)],
  ['methodName', text((_, name) => name.trim())],
  ['methodResponse', sequence([['params', 'fault']], toResponse)],
  ['params', many('param', all)],
  ['param', sequence([['value']], first)],
  ['fault', sequence([['value']], ([value]): XmlRpcDocument => ({ kind: 'fault', value }))],
  ['value', { ...sequence([[...SCALARS.keys(), 'array', 'struct']], toValue, 0), hasText: true }],
  ['array', sequence([['data']], first)],
  ['data', many('value', all)],
  ['struct', many('member', toRecord)],
  ['member', sequence([['name'], ['value']], all)],
  ['name', text((_, name) => name)],
  ...[...SCALARS].map(
    ([name, read]) => [name, text((_, content, limits) => read(content, name, limits))] as const
  )
])

/** Whether an element may be the next child of one that has `count` children. */
export const allowsChild = ({ children, repeats }: ElementType, count: number, name: string): boolean =>
  children[repeats ? 0 : count]?.has(name) === true

function toCall([method, params = []]: unknown[]): XmlRpcDocument {
  return { kind: 'call', method: method as string, params: params as unknown[] }
}

function toResponse([content]: unknown[]): XmlRpcDocument {
  if (!Array.isArray(content)) return content as XmlRpcDocument
  if (content.length !== 1) throw new MalformedXmlError(`${content.length} results`)
  return { kind: 'result', value: content[0] }
}

/** A value without a type is a string, whose whitespace counts. */
function toValue(values: unknown[], content: string): unknown {
  if (values.length === 0) return content
  if (content.trim() !== '') throw new MalformedXmlError('text beside the type in <value>')
  return values[0]
}

function toRecord(members: unknown[]): object {
  const record: Record<string, unknown> = {}
  // Assigning `__proto__` would set the prototype.
  for (const [name, value] of members as [string, unknown][])
    if (name === '__proto__')
      Object.defineProperty(record, name, { value, configurable: true, enumerable: true, writable: true })
    else record[name] = value
  return record
}
