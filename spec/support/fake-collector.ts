// A garbage collector that specs control: objects they mark are collected for every WeakRef, and finalizers run when
// they say. Everything else is left to the real collector. It must be imported before lib, which reads these classes
// when it is loaded.

const collected = new WeakSet<object>()
const finalizers = new WeakMap<object, () => void>()
const watchers = new Set<RegistrationWatcher>()

/** Called for each registration with the object and the value for its finalizer. */
export type RegistrationWatcher = (target: object, held: unknown) => void

globalThis.WeakRef = class<T extends object> extends WeakRef<T> {
  override deref(): T | undefined {
    const target = super.deref()
    return target !== undefined && collected.has(target) ? undefined : target
  }
} as unknown as WeakRefConstructor

globalThis.FinalizationRegistry = class<T> extends FinalizationRegistry<T> {
  readonly #finalize: (held: T) => void

  constructor(finalize: (held: T) => void) {
    super(finalize)
    this.#finalize = finalize
  }

  override register(target: object, held: T): void {
    super.register(target, held, target)
    finalizers.set(target, () => {
      this.unregister(target)
      this.#finalize(held)
    })
    for (const watcher of watchers) watcher(target, held)
  }
}

/** @returns a function that removes the watcher */
export function watchRegistrations(watcher: RegistrationWatcher): () => void {
  watchers.add(watcher)
  return () => void watchers.delete(watcher)
}

/** Marks an object as collected for every WeakRef; its finalizer runs later, as with the real collector. */
export const markCollected = (object: object): void => void collected.add(object)

/** Runs the finalizer of a marked object. */
export const runFinalizer = (object: object): void => finalizers.get(object)?.()
