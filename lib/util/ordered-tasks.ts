// What is to be done in the order of its numbers, and comes in any: a heap, as a peer decides on the order.

import { inALaterTurn } from './scheduler.js'
import { Slice } from './time-slice.js'

interface Turn {
  readonly id: number
  readonly act: () => void
}

export class Turns {
  /** Each is no later than those at twice its place, and one and two beyond. */
  readonly #heap: Turn[] = []
  readonly #slice = new Slice()
  #underWay = false
  /** Whether the rest is done in a later turn of the event loop. */
  behind = false

  add(id: number, act: () => void): void {
    const heap = this.#heap
    let at = heap.length
    for (let above = (at - 1) >> 1; at > 0 && heap[above]!.id > id; above = (at - 1) >> 1) {
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = { id, act }
  }

  /** Takes out what is to be done first. */
  next(): (() => void) | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || first === last) return first?.act
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below + 1 < heap.length && heap[below + 1]!.id < heap[below]!.id) below++
      if (below >= heap.length || heap[below]!.id > last.id) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
    return first!.act
  }

  /** Does all there is, and what comes meanwhile: in a loop, however much one thing leads to the next. */
  take(): void {
    if (this.#underWay) return
    this.#underWay = true
    this.#goOn()
  }

  #goOn(): void {
    this.behind = false
    this.#slice.goOn()
    while (this.#slice.lasts) {
      const act = this.next()
      if (!act) {
        this.#underWay = false
        return
      }
      act()
    }
    this.behind = true
    inALaterTurn(() => this.#goOn())
  }

  clear(): void {
    this.#heap.length = 0
  }
}
