// Traces messages, one readable line each (`NETREF_DEBUG=1`).

import { toPrintable, truncate } from '../util/printable.js'
import { formatPath } from './format.js'
import { nameOf, Op, operationOf } from './messages.js'
import type { MemberPath } from './path.js'

/** A message in one line: `call 5 root.add [1,2]`. */
export const formatMessage = (message: unknown): string =>
  toPrintable(formatLine(message), Number.POSITIVE_INFINITY)

function formatLine(message: unknown): string {
  if (!Array.isArray(message)) return JSON.stringify(message)
  const [op, ...rest] = message as [number, ...unknown[]]
  if (op === Op.traced) return `${formatLine(rest.slice(1))} in ${rest[0]}`
  if (op === Op.idempotent) return `${formatLine(rest.slice(1))} under ${JSON.stringify(rest[0])}`
  const name = nameOf(op) ?? `op ${op}`
  // The third part of a hello is the resume token, which must not be logged.
  if (op === Op.hello) rest.length = Math.min(rest.length, 2)
  if (!operationOf(op)) return [name, ...rest.map(part => JSON.stringify(part))].join(' ')
  const [id, target, path, ...operand] = rest as [number, number, MemberPath, ...unknown[]]
  const from = target === 0 ? 'root' : target > 0 ? `#${target}` : `answer${target}`
  return [name, id, from + formatPath(path), ...operand.map(part => JSON.stringify(part))].join(' ')
}

/** Called with each message, sent or received. */
export type Trace = (direction: '→' | '←', message: string) => void

/** Prints messages to stderr, if `NETREF_DEBUG` is set when the session begins. */
export function traceFromEnvironment(): Trace | undefined {
  if (!globalThis.process?.env?.NETREF_DEBUG) return undefined
  return (direction, line) => {
    console.error(`netref ${direction} ${truncate(line, 200)}`)
  }
}
