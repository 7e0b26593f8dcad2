// What components share: connections and results. They are kept outside of React, because React forgets the state of a
// component that suspends before it is mounted.
import { clock } from '../util/clock.js'

/** How long a resource is kept that no mounted component uses, in ms. StrictMode, and a change of the page, need it again. */
export const GRACE_MS = 1000

/** Most resources without a component that are kept while one is pending, which may never settle. */
const MAX_UNUSED = 1000

/** The resources that no mounted component uses, in the order in which they became so. */
const unused = new Set<Resource>()
let isSweepScheduled = false

function scheduleSweep(): void {
  if (isSweepScheduled || unused.size === 0) return
  isSweepScheduled = true
  clock.setTimeout(sweep, GRACE_MS)
}

/**
 * Disposes of the resources that were unused for long enough. While one is pending, a component waits that React has not
 * mounted, and that may need any of the others: then only those beyond `MAX_UNUSED` are disposed of, the oldest first.
 */
function sweep(): void {
  isSweepScheduled = false
  const resources = [...unused]
  const latest = clock.now() - GRACE_MS
  const dispensable = resources.some(resource => resource.isPending)
    ? resources.slice(0, -MAX_UNUSED).filter(resource => !resource.isPending)
    : resources
  for (const resource of dispensable) if (resource.unusedSince <= latest) resource.dispose()
  scheduleSweep()
}

/** A connection or a result. */
export abstract class Resource {
  readonly createdAt = clock.now()
  #unusedSince = this.createdAt
  /** Whether a render after the one that created it asked for it. */
  wasFound = false
  readonly #components = new Set<() => void>()
  #version = 0
  #isDisposed = false
  /** Called when it is disposed of. */
  onDisposed: (() => void) | undefined

  /** Whether what components wait for has not arrived. */
  abstract readonly isPending: boolean
  /** Whether it failed for good. Then renders do not prolong its life, so that a later one may try again. */
  protected abstract readonly hasFailed: boolean
  /** Closes and releases what it has. */
  protected abstract close(): void

  get unusedSince(): number {
    return this.#unusedSince
  }

  /** It is kept, for now without a component. */
  keep(): void {
    this.prolong()
    unused.add(this)
    scheduleSweep()
  }

  /** A component that renders needs it. */
  touch(): void {
    this.wasFound = true
    if (!this.hasFailed) this.prolong()
  }

  /** It is kept for another `GRACE_MS`. */
  protected prolong(): void {
    this.#unusedSince = clock.now()
  }

  /** For `useSyncExternalStore`: it changes when components must render again. */
  readonly getVersion = (): number => this.#version

  /** For `useSyncExternalStore`: a component is mounted with it. @returns the function to call when it is unmounted */
  readonly subscribe = (changed: () => void): (() => void) => {
    this.#components.add(changed)
    unused.delete(this)
    return () => {
      this.#components.delete(changed)
      if (this.#components.size === 0 && !this.#isDisposed) this.keep()
    }
  }

  dispose(): void {
    unused.delete(this)
    this.#isDisposed = true
    this.onDisposed?.()
    this.close()
    // A component that React hides, and shows again later, renders with another one.
    this.#version++
  }

  /** The mounted components render again. */
  protected notify(): void {
    this.#version++
    for (const changed of [...this.#components]) changed()
  }
}
