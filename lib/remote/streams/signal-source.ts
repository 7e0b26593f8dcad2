// A signal that is aborted from afar. No engine keeps a plain signal for its listeners: who holds its controller holds it,
// and here that is the signal itself. So this one is held while somebody listens to it, or a signal that `AbortSignal.any`
// made of it lives. Node tells a signal of its listeners by methods of its own, and adds what depends on it to a set. A page
// has `signal-source-browser.ts` in its place.

type Hook = (
  this: object,
  size: number,
  type: string,
  listener: unknown,
  once?: boolean,
  capture?: boolean,
  passive?: boolean,
  weak?: boolean
) => void

interface Hooks {
  /** What the methods are called, by which a signal is told that it has `size` listeners now. */
  readonly added: symbol
  readonly removed: symbol
  /** And the property that has what depends on it. */
  readonly dependents: symbol
}

let known: Hooks | undefined

/** Undefined where signals are not Node's. */
function hooksOf(signal: AbortSignal): Hooks | undefined {
  if (known) return known
  AbortSignal.any([signal])
  const symbols = [EventTarget.prototype, signal].flatMap(object => Object.getOwnPropertySymbols(object))
  const find = (name: string) => symbols.find(({ description }) => description === name)
  const added = find('kNewListener')
  const removed = find('kRemoveListener')
  const dependents = find('kDependantSignals')
  /* c8 ignore next: those of Bun, Deno and jsdom are not. */
  if (!added || !removed || !dependents) return undefined
  return (known = { added, removed, dependents })
}

/** As long as somebody holds a signal, what aborts it is there. */
const controllers = new WeakMap<AbortSignal, AbortController>()
/** A netref and the signal that stands for it hold each other. */
const signals = new WeakMap<object, AbortSignal>()
const dependent = new FinalizationRegistry<SignalSource>(source => source.lost())

export class SignalSource {
  readonly #weak: WeakRef<AbortSignal>
  protected held: AbortSignal | undefined
  #listened = false
  #dependents = 0
  #over = false

  constructor(netref: object) {
    const controller = new AbortController()
    const { signal } = controller
    this.#weak = new WeakRef(signal)
    controllers.set(signal, controller)
    signals.set(netref, signal)
    const hooks = hooksOf(signal)
    /* c8 ignore next: where nobody tells of listeners, it is held until it is over. */
    if (!hooks) this.held = signal
    else this.#watch(signal, hooks)
  }

  get signal(): AbortSignal {
    return this.#weak.deref()!
  }

  /** Told that only the end of the session aborts it from now on. */
  abandon(): void {
    // Who waits for that is known.
  }

  /** @returns whether anybody may learn of it */
  abort(reason: unknown): boolean {
    const signal = this.#weak.deref()
    if (!signal || this.#over) return false
    this.#over = true
    this.held = undefined
    controllers.get(signal)!.abort(reason)
    return true
  }

  #watch(signal: AbortSignal, { added, removed, dependents }: Hooks): void {
    const inherited = EventTarget.prototype as unknown as Record<symbol, Hook>
    const onAdded: Hook = (size, type, ...how) => {
      inherited[added]!.call(signal, size, type, ...how)
      const weak = how[4]
      if (type === 'abort' && !weak) this.#hear(true)
    }
    const onRemoved: Hook = (size, type, ...how) => {
      inherited[removed]!.call(signal, size, type, ...how)
      if (type === 'abort' && size === 0) this.#hear(false)
    }
    const value = new Dependents(found => {
      dependent.register(found, this)
      this.#dependents++
      this.#keep()
    })
    Object.defineProperties(signal, {
      [added]: { value: onAdded },
      [removed]: { value: onRemoved },
      [dependents]: { value }
    })
  }

  #hear(listened: boolean): void {
    this.#listened = listened
    this.#keep()
  }

  /** One that depended on it is gone. */
  lost(): void {
    this.#dependents--
    this.#keep()
  }

  #keep(): void {
    const isWanted = !this.#over && (this.#listened || this.#dependents > 0)
    this.held = isWanted ? this.#weak.deref() : undefined
  }
}

class Dependents extends Set<WeakRef<AbortSignal>> {
  readonly #found: (dependent: AbortSignal) => void

  constructor(found: (dependent: AbortSignal) => void) {
    super()
    this.#found = found
  }

  override add(weak: WeakRef<AbortSignal>): this {
    if (!this.has(weak)) this.#found(weak.deref()!)
    return super.add(weak)
  }
}
