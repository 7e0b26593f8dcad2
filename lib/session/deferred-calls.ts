// The peer's calls that wait: for the answer of an earlier call, or until the service is ready.

import { runIsolated } from '../util/async-context.js'
import { LazyMap } from '../util/lazy-map.js'
import { OrderedTasks } from '../util/ordered-tasks.js'
import type { Answer } from './answers.js'

type Execute = (answer: Answer) => void

const SERVICE_READY: Answer = { ok: true, value: undefined }

export class DeferredCalls {
  readonly #waiting = new LazyMap<number, Execute>()
  /** Calls whose answer or service is ready, by the order in which they came. */
  readonly #ready = new OrderedTasks()
  #lastOrder = 0
  /** Callbacks of the calls of the root; undefined while the service is ready. */
  #serviceListeners: (() => void)[] | undefined

  /** @param onCancelled called with the number of a call that was cancelled while it waited, when its turn comes */
  constructor(private readonly onCancelled: (id: number) => void) {}

  /** Whether ready calls run in a later turn of the event loop. Until then, no other call may start. */
  get isBehind(): boolean {
    return this.#ready.deferred
  }

  get isServiceReady(): boolean {
    return this.#serviceListeners === undefined
  }

  /** Runs `execute` once `subscribe` calls its listener, in the order of all deferred calls, unless it is cancelled. */
  add(id: number, execute: Execute, subscribe: (listener: (answer: Answer) => void) => void): void {
    this.#waiting.set(id, execute)
    const order = ++this.#lastOrder
    subscribe(answer => this.#ready.add(order, () => this.#run(id, answer)))
  }

  /** Runs `execute` once the service is ready. */
  addUntilServiceReady(id: number, execute: () => void): void {
    const listeners = this.#serviceListeners!
    this.add(id, execute, listener => listeners.push(() => listener(SERVICE_READY)))
  }

  #run(id: number, answer: Answer): void {
    const execute = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (execute) runIsolated(() => execute(answer))
    else this.onCancelled(id)
  }

  /** @returns whether the call was waiting */
  cancel(id: number): boolean {
    return this.#waiting.delete(id)
  }

  /** Calls of the root wait from now on. @returns a function that runs them, and lets later ones run at once */
  awaitService(): () => void {
    const listeners: (() => void)[] = []
    this.#serviceListeners = listeners
    return () => {
      this.#serviceListeners = undefined
      for (const listener of listeners) listener()
      this.runReady()
    }
  }

  /** Runs the calls that are ready, and those that become ready meanwhile. */
  runReady(): void {
    this.#ready.runAll()
  }

  clear(): void {
    this.#ready.clear()
    this.#waiting.clear()
  }
}
