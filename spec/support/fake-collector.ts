// A collector that specs can play: what they say is collected is so for every WeakRef, and its finalizers run when
// they say. All else is left to the real one. To be imported before lib, which takes hold of these classes.

const collected = new WeakSet<object>()
const finalizers = new WeakMap<object, () => void>()
const watchers = new Set<RegistrationWatcher>()

/** Told of whatever is registered to be told of: what it is, and what its finalizer will be given. */
export type RegistrationWatcher = (target: object, held: unknown) => void

globalThis.WeakRef = class<T extends object> extends WeakRef<T> {
  override deref(): T | undefined {
    const target = super.deref()
    return target !== undefined && collected.has(target) ? undefined : target
  }
} as unknown as WeakRefConstructor

globalThis.FinalizationRegistry = class<T> extends FinalizationRegistry<T> {
  readonly #finalize: (held: T) => void

  constructor(runFinalizer: (held: T) => void) {
    super(runFinalizer)
    this.#finalize = runFinalizer
  }

  override register(target: object, held: T): void {
    super.register(target, held, target)
    finalizers.set(target, () => {
      this.unregister(target)
      this.#finalize(held)
    })
    for (const watchRegistrations of watchers) watchRegistrations(target, held)
  }
}

/** @returns what ends the watching */
export function watchRegistrations(watcher: RegistrationWatcher): () => void {
  watchers.add(watcher)
  return () => void watchers.delete(watcher)
}

/** From now on the object is gone for every WeakRef; its finalizer is still to run, as it is with the real collector. */
export const markCollected = (object: object): void => void collected.add(object)

/** Runs the finalizer of what was killed. */
export const runFinalizer = (object: object): void => finalizers.get(object)?.()
