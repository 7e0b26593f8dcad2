// Visits an object that describes its members, and the objects among them.

/** Maximum number of names in a path. */
const MAX_DEPTH = 8
/** Maximum number of objects. */
const MAX_OBJECTS = 256

/** What is known of a member. */
interface DescribedMember {
  readonly name: string
  readonly kind: string
}

/** How objects are described, and how their members are reached. */
export interface TreeAccess<O, M extends DescribedMember> {
  /** @returns an empty list for an object that is not described */
  describe(object: O, isRoot: boolean): Promise<readonly M[]>
  memberOf(object: O, name: string): O
}

/** An object of the tree. */
export interface DescribedObject<M extends DescribedMember> {
  /** The names that lead to it from the root. */
  readonly path: readonly string[]
  readonly members: readonly M[]
}

/**
 * Describes the root and the objects that it has, breadth first. The list is bounded, and leaves out an object that looks like
 * one that contains it, which is a cycle.
 */
export async function describeTree<O, M extends DescribedMember>(
  root: O,
  access: TreeAccess<O, M>
): Promise<DescribedObject<M>[]> {
  const described: DescribedObject<M>[] = []
  const objects: FoundObject<O>[] = [{ object: root, path: [], containers: new Set() }]
  // The loop also visits the objects that it adds.
  for (const { object, path, containers } of objects) {
    const members = await access.describe(object, path.length === 0)
    const shape = JSON.stringify(members)
    if (containers.has(shape)) continue
    described.push({ path, members })
    for (const { name, kind } of members) {
      if (kind === 'object' && path.length < MAX_DEPTH - 1 && objects.length < MAX_OBJECTS)
        objects.push({
          object: access.memberOf(object, name),
          path: [...path, name],
          containers: new Set(containers).add(shape)
        })
    }
  }
  return described
}

interface FoundObject<O> {
  readonly object: O
  readonly path: readonly string[]
  /** The descriptions of the objects that contain it, as JSON. */
  readonly containers: ReadonlySet<string>
}
