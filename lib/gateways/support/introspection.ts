// Lists and describes the methods of a service for foreign clients, by `Netref.describe`.

import { ExposureError, LimitError } from '../../errors.js'
import { Netref } from '../../index.js'
import type { Description } from '../../types/description.js'
import type { RemoteHandle } from '../../types/netref.js'

/** Maximum number of names in the dotted name of a listed method. */
const MAX_NAMES = 8
/** Maximum number of objects that one list describes. */
const MAX_OBJECTS = 256
/** Maximum number of methods in one list. */
const MAX_METHODS = 10_000

/** A method of a service. */
export interface MethodDescription extends Description {
  /** Member names, joined by dots. */
  readonly name: string
}

/**
 * The methods of the root and of the objects that it exposes, sorted by dotted name. The list is bounded, and leaves out an
 * object that looks like one that contains it, which is a cycle. Runs no getters except those of exposed objects on the way.
 *
 * @throws ExposureError if the service sets `describe: false`
 */
export async function listMethods(root: RemoteHandle<unknown>): Promise<MethodDescription[]> {
  const methods: MethodDescription[] = []
  const objects: ListedObject[] = [{ object: root, prefix: '', depth: 1, containers: new Set() }]
  // The loop also visits the objects that it adds.
  for (const { object, prefix, depth, containers } of objects) {
    const members = await describeIfExposed(object, prefix === '')
    const shape = JSON.stringify(members)
    if (containers.has(shape)) continue
    for (const member of members) {
      const name = prefix + member.name
      if (member.name.includes('.') || member.name === '') continue
      if (member.kind === 'function' && methods.length < MAX_METHODS) methods.push({ ...member, name })
      if (member.kind === 'object' && depth < MAX_NAMES && objects.length < MAX_OBJECTS)
        objects.push({
          object: Netref.get(object, member.name),
          prefix: `${name}.`,
          depth: depth + 1,
          containers: new Set(containers).add(shape)
        })
    }
  }
  return methods.sort((a, b) => (a.name < b.name ? -1 : 1))
}

interface ListedObject {
  readonly object: RemoteHandle<unknown>
  readonly prefix: string
  readonly depth: number
  /** The descriptions of the objects that contain it, as JSON. */
  readonly containers: ReadonlySet<string>
}

/**
 * Describes one method.
 *
 * @returns undefined if the service has no such method, or does not describe itself
 */
export async function describeMethod(
  root: RemoteHandle<unknown>,
  name: string
): Promise<MethodDescription | undefined> {
  const names = name.split('.', MAX_NAMES + 1)
  const last = names.pop()
  if (names.length >= MAX_NAMES) return undefined
  const owner = names.reduce((object, key) => Netref.get(object, key), root)
  const members = await describeIfExposed(owner, false)
  const member = members.find(one => one.kind === 'function' && one.name === last)
  return member && { ...member, name }
}

/** @returns an empty list if the object is not `required`, and is not exposed or has too many members */
async function describeIfExposed(object: RemoteHandle<unknown>, required: boolean): Promise<Description[]> {
  try {
    return await Netref.describe(object)
  } catch (error) {
    if (!required && (error instanceof ExposureError || error instanceof LimitError)) return []
    throw error
  }
}
