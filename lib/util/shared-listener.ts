// Listeners on what is a user's: one for all that listen to an event of it, as Node warns of many.

type EventHandler = (told: unknown) => void
/** Takes a listener off. It may be called more than once. */
export type Unsubscribe = () => void

/** Listens at an EventTarget, or at what emits in Node's manner. */
export function addListener(target: object, type: string, handler: EventHandler): Unsubscribe {
  if ('addEventListener' in target) {
    const events = target as EventTarget
    events.addEventListener(type, handler)
    return () => events.removeEventListener(type, handler)
  }
  const emitter = target as NodeJS.EventEmitter
  emitter.on(type, handler)
  return () => void emitter.off(type, handler)
}

/** By what they listen to, and the event. */
const sharedListeners = new WeakMap<object, Map<string, SharedListener>>()

/** As `on`, with a listener that it shares with others. A handler must not throw. */
export function addSharedListener(target: object, type: string, handler: EventHandler): Unsubscribe {
  const events = sharedListeners.get(target) ?? new Map<string, SharedListener>()
  sharedListeners.set(target, events)
  const listener = events.get(type) ?? new SharedListener(target, type, () => events.delete(type))
  events.set(type, listener)
  return listener.add(handler)
}

class SharedListener {
  readonly #handlers = new Set<EventHandler>()
  readonly #unsubscribe: Unsubscribe

  constructor(
    target: object,
    type: string,
    private readonly onEmpty: () => void
  ) {
    this.#unsubscribe = addListener(target, type, told => this.#dispatch(told))
  }

  add(handler: EventHandler): Unsubscribe {
    // One of its own, as the same may be there twice.
    const wrapper: EventHandler = told => handler(told)
    this.#handlers.add(wrapper)
    return () => {
      if (!this.#handlers.delete(wrapper) || this.#handlers.size > 0) return
      this.onEmpty()
      this.#unsubscribe()
    }
  }

  /** Tells those that listened when it happened, and listen still. */
  #dispatch(event: unknown): void {
    for (const handler of [...this.#handlers]) if (this.#handlers.has(handler)) handler(event)
  }
}
