// Reads what a service says of itself. A peer's words are not trusted: they are texts, and schemas as plain JSON.

import { type Description, ExposureError, LimitError, Netref, type RemoteHandle } from '../index.js'
import { type DescribedObject, describeTree } from '../util/object-tree.js'
import { type Signature, signatureOf } from '../util/signature.js'

/** A member of a service. */
export interface Member {
  readonly name: string
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
export const describeService = (root: RemoteHandle<unknown>): Promise<ServiceObject[]> =>
  describeTree<RemoteHandle<unknown>, Member>(root, {
    async describe(object, isRoot) {
      const members = await describeIfExposed(object, isRoot)
      // A name that comes twice is one member.
      return [...new Map(members.map(member => [String(member.name), readMember(member)])).values()]
    },
    memberOf: (object, name) => Netref.get(object, name)
  })

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
