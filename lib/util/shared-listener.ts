// Listeners on a user's objects: one per event, shared, because Node warns of more than ten on an object.

type EventHandler = (event: unknown) => void
/** Removes a listener. It may be called more than once. */
export type Unsubscribe = () => void

/** Adds a listener to an EventTarget or an EventEmitter of Node. */
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

/** By target and event. */
const sharedListeners = new WeakMap<object, Map<string, SharedListener>>()

/** As `addListener`, with one listener for all handlers. A handler must not throw. */
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
    this.#unsubscribe = addListener(target, type, event => this.#dispatch(event))
  }

  add(handler: EventHandler): Unsubscribe {
    // A wrapper of its own, because a handler may be added twice.
    const wrapper: EventHandler = event => handler(event)
    this.#handlers.add(wrapper)
    return () => {
      if (!this.#handlers.delete(wrapper) || this.#handlers.size > 0) return
      this.onEmpty()
      this.#unsubscribe()
    }
  }

  /** Calls the handlers that were there when the event occurred, and are not removed meanwhile. */
  #dispatch(event: unknown): void {
    for (const handler of [...this.#handlers]) if (this.#handlers.has(handler)) handler(event)
  }
}
