// A signal that the peer aborts, in Node. No engine keeps a plain signal alive for its listeners: only its controller
// does, and here the signal itself holds the controller. So this class keeps the signal alive while it has listeners,
// or while a signal made of it by `AbortSignal.any` lives. Node calls methods of its own when listeners change, and
// adds dependent signals to a set. A page uses `signal-source.browser.ts` instead.

type ListenerHook = (
  this: object,
  size: number,
  type: string,
  listener: unknown,
  once?: boolean,
  capture?: boolean,
  passive?: boolean,
  weak?: boolean
) => void

interface NodeHooks {
  /** The names of the methods that Node calls with the number of listeners. */
  readonly added: symbol
  readonly removed: symbol
  /** The name of the property with the set of dependent signals. */
  readonly dependents: symbol
}

let nodeHooks: NodeHooks | undefined

/** Undefined if the signals are not Node's. */
function findNodeHooks(signal: AbortSignal): NodeHooks | undefined {
  if (nodeHooks) return nodeHooks
  AbortSignal.any([signal])
  const symbols = [EventTarget.prototype, signal].flatMap(object => Object.getOwnPropertySymbols(object))
  const find = (name: string) => symbols.find(({ description }) => description === name)
  const added = find('kNewListener')
  const removed = find('kRemoveListener')
  const dependents = find('kDependantSignals')
  /* c8 ignore next: those of Bun, Deno and jsdom are not. */
  if (!added || !removed || !dependents) return undefined
  return (nodeHooks = { added, removed, dependents })
}

/** A signal keeps its controller alive. */
const controllers = new WeakMap<AbortSignal, AbortController>()
/** A netref and its signal keep each other alive. */
const signalByNetref = new WeakMap<object, AbortSignal>()
const dependentFinalizers = new FinalizationRegistry<SignalSource>(source => source.onDependentCollected())

export class SignalSource {
  readonly #weakSignal: WeakRef<AbortSignal>
  protected keptAlive: AbortSignal | undefined
  #hasListeners = false
  #dependentCount = 0
  #isAborted = false

  constructor(netref: object) {
    const controller = new AbortController()
    const { signal } = controller
    this.#weakSignal = new WeakRef(signal)
    controllers.set(signal, controller)
    signalByNetref.set(netref, signal)
    const hooks = findNodeHooks(signal)
    /* c8 ignore next: where nobody tells of listeners, it is held until it is over. */
    if (!hooks) this.keptAlive = signal
    else this.#installHooks(signal, hooks)
  }

  get signal(): AbortSignal {
    return this.#weakSignal.deref()!
  }

  /** From now on only the end of the session can abort the signal. */
  onOwnerCollected(): void {
    // Its listeners are known.
  }

  /** @returns whether any code may see it */
  abort(reason: unknown): boolean {
    const signal = this.#weakSignal.deref()
    if (!signal || this.#isAborted) return false
    this.#isAborted = true
    this.keptAlive = undefined
    controllers.get(signal)!.abort(reason)
    return true
  }

  #installHooks(signal: AbortSignal, { added, removed, dependents }: NodeHooks): void {
    const inherited = EventTarget.prototype as unknown as Record<symbol, ListenerHook>
    const onAdded: ListenerHook = (size, type, ...rest) => {
      inherited[added]!.call(signal, size, type, ...rest)
      const isWeak = rest[4]
      if (type === 'abort' && !isWeak) this.#setHasListeners(true)
    }
    const onRemoved: ListenerHook = (size, type, ...rest) => {
      inherited[removed]!.call(signal, size, type, ...rest)
      if (type === 'abort' && size === 0) this.#setHasListeners(false)
    }
    const value = new DependentSet(found => {
      dependentFinalizers.register(found, this)
      this.#dependentCount++
      this.#updateKeptAlive()
    })
    Object.defineProperties(signal, {
      [added]: { value: onAdded },
      [removed]: { value: onRemoved },
      [dependents]: { value }
    })
  }

  #setHasListeners(listened: boolean): void {
    this.#hasListeners = listened
    this.#updateKeptAlive()
  }

  /** A dependent signal was collected. */
  onDependentCollected(): void {
    this.#dependentCount--
    this.#updateKeptAlive()
  }

  #updateKeptAlive(): void {
    const isNeeded = !this.#isAborted && (this.#hasListeners || this.#dependentCount > 0)
    this.keptAlive = isNeeded ? this.#weakSignal.deref() : undefined
  }
}

class DependentSet extends Set<WeakRef<AbortSignal>> {
  readonly #onAdded: (dependent: AbortSignal) => void

  constructor(onAdded: (dependent: AbortSignal) => void) {
    super()
    this.#onAdded = onAdded
  }

  override add(weak: WeakRef<AbortSignal>): this {
    if (!this.has(weak)) this.#onAdded(weak.deref()!)
    return super.add(weak)
  }
}
