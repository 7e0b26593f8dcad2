// What is to be done in the order of its numbers, and comes in any: a heap, as a peer decides on the order.

import { yieldToEventLoop } from './scheduler.js'
import { TimeSlice } from './time-slice.js'

interface Task {
  readonly order: number
  readonly run: () => void
}

export class OrderedTasks {
  /** Each is no later than those at twice its place, and one and two beyond. */
  readonly #heap: Task[] = []
  readonly #timeSlice = new TimeSlice()
  #isRunning = false
  /** Whether the rest is done in a later turn of the event loop. */
  deferred = false

  add(order: number, run: () => void): void {
    const heap = this.#heap
    let index = heap.length
    for (let parent = (index - 1) >> 1; index > 0 && heap[parent]!.order > order; parent = (index - 1) >> 1) {
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = { order: order, run: run }
  }

  /** Takes out what is to be done first. */
  takeFirst(): (() => void) | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || first === last) return first?.run
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child + 1 < heap.length && heap[child + 1]!.order < heap[child]!.order) child++
      if (child >= heap.length || heap[child]!.order > last.order) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first!.run
  }

  /** Does all there is, and what comes meanwhile: in a loop, however much one thing leads to the next. */
  runAll(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#runSlice()
  }

  #runSlice(): void {
    this.deferred = false
    this.#timeSlice.restart()
    while (this.#timeSlice.hasTimeLeft) {
      const run = this.takeFirst()
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
    this.#heap.length = 0
  }
}
