// Runs tasks in the order of their numbers, in time slices, whatever order they are added in.
import { PriorityQueue } from './priority-queue.js'
import { yieldToEventLoop } from './scheduler.js'
import { TimeSlice } from './time-slice.js'

/** The tasks start in promise reactions, outside the slice of the receiver, so they have a slice of their own. */
export class OrderedTasks {
  readonly #queue = new PriorityQueue<() => void>()
  readonly #timeSlice = new TimeSlice()
  #isRunning = false
  /** Whether the remaining tasks run in a later turn of the event loop. */
  deferred = false

  add(order: number, run: () => void): void {
    this.#queue.add(order, run)
  }

  /** Runs all tasks, and those they add: in a loop, so that a long chain of tasks does not overflow the stack. */
  runAll(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#runSlice()
  }

  #runSlice(): void {
    this.deferred = false
    this.#timeSlice.restart()
    while (this.#timeSlice.takeStep()) {
      const run = this.#queue.takeFirst()
      if (!run) {
        this.#isRunning = false
        return
      }
      run()
    }
    this.deferred = true
    yieldToEventLoop(() => this.#runSlice())
  }

  clear(): void {
    this.#queue.clear()
  }
}
