// Lists and describes the methods of a service for foreign clients, by `Netref.describe`.

import { ExposureError, LimitError } from '../../errors.js'
import { Netref } from '../../index.js'
import type { Description } from '../../types/description.js'
import type { RemoteHandle } from '../../types/netref.js'
import { describeTree } from '../../util/object-tree.js'

/** Maximum number of names in the dotted name of a listed method. */
const MAX_NAMES = 8
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
  const objects = await describeTree<RemoteHandle<unknown>, Description>(root, {
    describe: describeIfExposed,
    memberOf: Netref.get
  })
  const methods = objects
    .filter(({ path }) => path.every(isPlainName))
    .flatMap(({ path, members }) =>
      members
        .filter(({ name, kind }) => kind === 'function' && isPlainName(name))
        .map(member => ({ ...member, name: [...path, member.name].join('.') }))
    )
  return methods.slice(0, MAX_METHODS).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Whether a name can be a part of a dotted name. */
const isPlainName = (name: string): boolean => name !== '' && !name.includes('.')

/**
 * Describes one method.
 *
 * @returns undefined if the service has no such method, or does not describe itself
 */
export async function describeMethod(
  root: RemoteHandle<unknown>,
  name: string
): Promise<MethodDescription | undefined> {
  const [description] = await describeMethods(root, [name])
  return description
}

/**
 * Describes methods. An object that owns several of them is asked once.
 *
 * @returns for each name its description, or undefined as `describeMethod`
 */
export function describeMethods(
  root: RemoteHandle<unknown>,
  names: readonly string[]
): Promise<(MethodDescription | undefined)[]> {
  const descriptions = new Map<string, Promise<Description[]>>()
  return Promise.all(
    names.map(async name => {
      const keys = name.split('.', MAX_NAMES + 1)
      const last = keys.pop()
      if (keys.length >= MAX_NAMES) return undefined
      const owner = keys.join('.')
      let members = descriptions.get(owner)
      if (!members) {
        const object = keys.reduce((object, key) => Netref.get(object, key), root)
        members = describeIfExposed(object, false)
        descriptions.set(owner, members)
      }
      const member = (await members).find(one => one.kind === 'function' && one.name === last)
      return member && { ...member, name }
    })
  )
}

/** Describes an object. @returns an empty list if it is not `required`, and is not exposed or has too many members */
export async function describeIfExposed(
  object: RemoteHandle<unknown>,
  required: boolean
): Promise<Description[]> {
  try {
    return await Netref.describe(object)
  } catch (error) {
    if (!required && (error instanceof ExposureError || error instanceof LimitError)) return []
    throw error
  }
}
