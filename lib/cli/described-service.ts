// Reads what a service says of itself. A peer's words are not trusted: they are texts, and schemas as plain JSON.

import { type Description, ExposureError, LimitError, Netref, type RemoteHandle } from '../index.js'
import { type DescribedObject, describeTree } from '../util/object-tree.js'
import { type Signature, signatureOf } from '../util/signature.js'
import { formatPath, refAtPath } from './path.js'

/** A member of a service. */
export interface Member {
  readonly name: string
  /** That of a `Description`, or `list` for an array. */
  readonly kind: string
  readonly help: string
  readonly signature: Signature
}

export type ServiceObject = DescribedObject<Member>

/**
 * Describes an object, and the objects in it.
 *
 * @throws ExposureError if it does not describe itself
 */
async function describeService(root: RemoteHandle<unknown>): Promise<ServiceObject[]> {
  const objects = await describeTree<RemoteHandle<unknown>, Member>(root, {
    describe: describeMembers,
    memberOf: (object, name) => Netref.get(object, name)
  })
  const lists = new Set<string>()
  for (const { path, members } of objects) {
    if (path.length > 0 && (await isList(refAtPath(root, path), members))) lists.add(formatPath(path))
  }
  return objects
    .filter(({ path }) => !lists.has(formatPath(path)))
    .map(({ path, members }) => ({
      path,
      members: members.map(member =>
        lists.has(formatPath([...path, member.name])) ? { ...member, kind: 'list' } : member
      )
    }))
}

/**
 * Describes what is at a path: an object with the objects in it, or a function, as the only member of its owner.
 *
 * @throws ExposureError if it does not describe itself
 */
export async function describePath(
  root: RemoteHandle<unknown>,
  names: readonly string[]
): Promise<ServiceObject[]> {
  const objects = await describeService(refAtPath(root, names))
  const name = names.at(-1)
  if (name === undefined || objects[0]!.members.length > 0) return objects
  const owner = await describeMembers(refAtPath(root, names.slice(0, -1)), true)
  const found = owner.filter(member => member.name === name && isCallable(member))
  return found.length > 0 ? [{ path: [], members: found }] : objects
}

export const isCallable = ({ kind }: Member): boolean => kind === 'function' || kind === 'class'

/** Whether an object is an array: it lists only its length, and can be iterated. */
async function isList(
  object: RemoteHandle<unknown>,
  [first, ...others]: readonly Member[]
): Promise<boolean> {
  if (first?.name !== 'length' || first.kind !== 'value' || others.length > 0) return false
  try {
    for await (const _ of object as unknown as AsyncIterable<unknown>) break
    return true
  } catch {
    return false
  }
}

async function describeMembers(object: RemoteHandle<unknown>, isRoot: boolean): Promise<Member[]> {
  const members = await describeIfExposed(object, isRoot)
  // A name that comes twice is one member.
  return [...new Map(members.map(member => [String(member.name), readMember(member)])).values()]
}

const readMember = (description: Description): Member => ({
  name: String(description.name),
  kind: String(description.kind),
  help: typeof description.help === 'string' ? description.help : '',
  signature: signatureOf(description)
})

/** @returns an empty list for an object within that is not exposed, is copied, or has too many members */
async function describeIfExposed(
  object: RemoteHandle<unknown>,
  isRoot: boolean
): Promise<readonly Description[]> {
  try {
    return await Netref.describe(object)
  } catch (error) {
    if (!isRoot && (error instanceof ExposureError || error instanceof LimitError)) return []
    throw error
  }
}
