// `NETREF_DEBUG=1`: one readable line for each message that crosses.

import { toPrintable, truncate } from '../util/printable.js'
import { formatPath } from './format.js'
import { OPERATIONS, Op } from './messages.js'
import type { MemberPath } from './path.js'

const names = new Map(Object.entries(Op).map(([name, op]) => [op as number, name]))

/** A message in one line: `call 5 root.add [1,2]`. */
export const formatMessage = (message: unknown): string =>
  toPrintable(formatLine(message), Number.POSITIVE_INFINITY)

function formatLine(message: unknown): string {
  if (!Array.isArray(message)) return JSON.stringify(message)
  const [op, ...rest] = message as [number, ...unknown[]]
  if (op === Op.traced) return `${formatLine(rest.slice(1))} in ${rest[0]}`
  if (op === Op.idempotent) return `${formatLine(rest.slice(1))} under ${JSON.stringify(rest[0])}`
  const name = names.get(op) ?? `op ${op}`
  // What comes third in a hello would let whoever reads it take the session over.
  if (op === Op.hello) rest.length = Math.min(rest.length, 2)
  if (!OPERATIONS.has(op)) return [name, ...rest.map(part => JSON.stringify(part))].join(' ')
  const [id, target, path, ...operand] = rest as [number, number, MemberPath, ...unknown[]]
  const from = target === 0 ? 'root' : target > 0 ? `#${target}` : `answer${target}`
  return [name, id, from + formatPath(path), ...operand.map(part => JSON.stringify(part))].join(' ')
}

/** Told of a message that crosses: to the other side or from there. */
export type Trace = (direction: '→' | '←', message: string) => void

/** What prints messages, where `NETREF_DEBUG` is set when a session begins. */
export function traceFromEnvironment(): Trace | undefined {
  if (!globalThis.process?.env?.NETREF_DEBUG) return undefined
  return (direction, line) => {
    console.error(`netref ${direction} ${truncate(line, 200)}`)
  }
}
