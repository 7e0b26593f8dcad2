// Parses paths from the root, and finds the member that a path lacks.

import type { RemoteHandle } from '../index.js'
import { type Description, Netref } from '../index.js'
import { UsageError } from './command.js'

const PATH_SEGMENT = /\.?([^.[\]"]+)|\[(\d+|"(?:\\.|[^"\\])*")\]/y

/** Parses a path such as `files[0]["first name"].read` into names. @throws UsageError for an invalid path */
export function parsePath(path: string): string[] {
  const names: string[] = []
  PATH_SEGMENT.lastIndex = 0
  while (PATH_SEGMENT.lastIndex < path.length) {
    const at = PATH_SEGMENT.lastIndex
    const [, name, key] = PATH_SEGMENT.exec(path) ?? []
    if (name === undefined && key === undefined) {
      throw new UsageError(`${path} is not a path, such as files[0].read: see character ${at + 1}`)
    }
    names.push(name ?? String(JSON.parse(key!)))
  }
  return names
}

/** The remote reference at a path. It sends nothing. */
export const refAtPath = (root: RemoteHandle<unknown>, names: readonly string[]): RemoteHandle<unknown> =>
  names.reduce((at, name) => Netref.get(at, name) as RemoteHandle<unknown>, root)

/**
 * The first name of a path that does not exist, with the members that do; undefined if all exist, or cannot be listed.
 */
export async function findMissingMember(
  root: RemoteHandle<unknown>,
  names: readonly string[]
): Promise<{ name: string; at: string; members: readonly Description[] } | undefined> {
  for (const [i, name] of names.entries()) {
    const members = await Netref.describe(refAtPath(root, names.slice(0, i))).catch(() => undefined)
    if (!members) return undefined
    if (!members.some(member => member.name === name)) {
      return { name, at: ['root', ...names.slice(0, i)].join('.'), members }
    }
  }
  return undefined
}

/** At most three similar names, the most similar first. */
export function nearestNames(name: string, names: readonly string[]): string[] {
  const maxDistance = Math.max(1, Math.floor(name.length / 3))
  return names
    .map(other => ({ other, distance: editDistance(name.toLowerCase(), other.toLowerCase()) }))
    .filter(({ other, distance }) => distance <= maxDistance || (name.length > 1 && other.startsWith(name)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ other }) => other)
}

/** The Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let k = 1; k <= b.length; k++) {
      const changed = row[k - 1]! + (a[i - 1] === b[k - 1] ? 0 : 1)
      next.push(Math.min(row[k]! + 1, next[k - 1]! + 1, changed))
    }
    row = next
  }
  return row[b.length]!
}
