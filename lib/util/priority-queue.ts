// A priority queue: a binary heap, because a peer chooses the order in which entries are added.

interface Entry<T> {
  readonly priority: number
  readonly item: T
}

/** Entries leave in ascending order of their priority. Adding and taking cost O(log n). */
export class PriorityQueue<T> {
  /** The children of the entry at index i are at 2i + 1 and 2i + 2, and have no lower priority than it. */
  readonly #heap: Entry<T>[] = []

  add(priority: number, item: T): void {
    const heap = this.#heap
    let index = heap.length
    for (
      let parent = (index - 1) >> 1;
      index > 0 && heap[parent]!.priority > priority;
      parent = (index - 1) >> 1
    ) {
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = { priority, item }
  }

  /** Removes the item with the lowest priority. */
  takeFirst(): T | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || first === last) return first?.item
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child + 1 < heap.length && heap[child + 1]!.priority < heap[child]!.priority) child++
      if (child >= heap.length || heap[child]!.priority > last.priority) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first!.item
  }

  clear(): void {
    this.#heap.length = 0
  }
}
