// Parses paths from the root, and finds the member that a path lacks.

import type { RemoteHandle } from '../index.js'
import { type Description, Netref } from '../index.js'
import { UsageError } from './command.js'

const PATH_SEGMENT = /\.?([^.[\]"]+)|\[(\d+|"(?:\\.|[^"\\])*")\]/y
const PLAIN_NAME = /^[^.[\]"\s]+$/

/** Parses a path such as `files[0]["first name"].read` into names. @throws UsageError for an invalid path */
export function parsePath(path: string): string[] {
  const names: string[] = []
  PATH_SEGMENT.lastIndex = 0
  while (PATH_SEGMENT.lastIndex < path.length) {
    const at = PATH_SEGMENT.lastIndex
    const [, name, key] = PATH_SEGMENT.exec(path) ?? []
    if (name === undefined && key === undefined) {
      throw new UsageError(
        `${path} is not a valid path: error at character ${at + 1}; an example is files[0].read`
      )
    }
    names.push(name ?? String(JSON.parse(key!)))
  }
  return names
}

/** The path as `parsePath` parses it. */
export const formatPath = (names: readonly string[]): string =>
  names
    .map(name => (PLAIN_NAME.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`))
    .join('')
    .replace(/^\./, '')

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
