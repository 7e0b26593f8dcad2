// Listeners on what is a user's: one for all that listen to an event of it, as Node warns of many.

type Handle = (told: unknown) => void
/** Takes a listener off. It may be called more than once. */
export type Off = () => void

/** Listens at an EventTarget, or at what emits in Node's manner. */
export function on(target: object, type: string, handle: Handle): Off {
  if ('addEventListener' in target) {
    const events = target as EventTarget
    events.addEventListener(type, handle)
    return () => events.removeEventListener(type, handle)
  }
  const emitter = target as NodeJS.EventEmitter
  emitter.on(type, handle)
  return () => void emitter.off(type, handle)
}

/** By what they listen to, and the event. */
const listening = new WeakMap<object, Map<string, Shared>>()

/** As `on`, with a listener that it shares with others. A handler must not throw. */
export function share(target: object, type: string, handle: Handle): Off {
  const events = listening.get(target) ?? new Map<string, Shared>()
  listening.set(target, events)
  const listener = events.get(type) ?? new Shared(target, type, () => events.delete(type))
  events.set(type, listener)
  return listener.add(handle)
}

class Shared {
  readonly #handles = new Set<Handle>()
  readonly #off: Off

  constructor(
    target: object,
    type: string,
    private readonly forget: () => void
  ) {
    this.#off = on(target, type, told => this.#tell(told))
  }

  add(handle: Handle): Off {
    // One of its own, as the same may be there twice.
    const one: Handle = told => handle(told)
    this.#handles.add(one)
    return () => {
      if (!this.#handles.delete(one) || this.#handles.size > 0) return
      this.forget()
      this.#off()
    }
  }

  /** Tells those that listened when it happened, and listen still. */
  #tell(told: unknown): void {
    for (const one of [...this.#handles]) if (this.#handles.has(one)) one(told)
  }
}
