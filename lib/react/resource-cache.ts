// Finds the resource of a key: a list of values, which are compared by identity.
import { clock } from '../util/clock.js'
import { GRACE_MS, type Resource } from './resource.js'

/** Most resources in sequence that were created, each at most `GRACE_MS` before the next one, and not used again. */
const MAX_REPLACED = 50

/** A prefix of keys. */
interface Node<R> {
  readonly children: Map<unknown, Node<R>>
  resource?: R | undefined
}

/** The resources whose keys have the same first value. */
interface Group<R> extends Node<R> {
  latest?: { readonly key: readonly unknown[]; readonly resource: R }
  /** Number of resources in sequence that the next one replaced. */
  replaced: number
}

export class ResourceCache<R extends Resource> {
  readonly #groups = new Map<unknown, Group<R>>()

  /**
   * @param describeNew the error text, for the index of the first value of the key that is new at each render
   * @throws TypeError if each render has a new key
   */
  get(key: readonly unknown[], create: () => R, describeNew: (index: number) => string): R {
    const group: Group<R> = this.#groups.get(key[0]) ?? { children: new Map(), replaced: 0 }
    this.#groups.set(key[0], group)
    const path: Node<R>[] = [group]
    for (const value of key.slice(1)) {
      const { children } = path.at(-1)!
      const child = children.get(value) ?? { children: new Map() }
      children.set(value, child)
      path.push(child)
    }
    const node = path.at(-1)!
    if (node.resource) {
      group.replaced = 0
      node.resource.touch()
      return node.resource
    }
    try {
      this.#checkReplaced(group, key, describeNew)
      const resource = create()
      resource.onDisposed = () => {
        node.resource = undefined
        this.#prune(key, path)
      }
      group.latest = { key, resource }
      node.resource = resource
      resource.keep()
      return resource
    } catch (error) {
      this.#prune(key, path)
      throw error
    }
  }

  #checkReplaced(group: Group<R>, key: readonly unknown[], describeNew: (index: number) => string): void {
    const { latest } = group
    if (!latest || latest.resource.isPending) return
    const { wasFound, createdAt } = latest.resource
    group.replaced = wasFound || createdAt < clock.now() - GRACE_MS ? 0 : group.replaced + 1
    if (group.replaced < MAX_REPLACED) return
    const index = key.findIndex((value, i) => !Object.is(value, latest.key[i]))
    throw new TypeError(describeNew(index))
  }

  /** Removes the nodes of a key that have neither a resource nor children. */
  #prune(key: readonly unknown[], path: readonly Node<R>[]): void {
    for (let i = path.length - 1; i >= 0; i--) {
      const { resource, children } = path[i]!
      if (resource || children.size > 0) return
      ;(i === 0 ? this.#groups : path[i - 1]!.children).delete(key[i])
    }
  }
}
