// Runs tasks in the order of their numbers.
import fc from 'fast-check'
import t from 'tap'
import { PriorityQueue } from '../../lib/util/priority-queue.js'

t.test('items leave in the order of their priorities, whatever order they were added in', async t => {
  const step = fc.option(fc.nat(50), { nil: undefined })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), steps => {
        const queue = new PriorityQueue<number>()
        const expected: number[] = []
        const takesFirst = () => queue.takeFirst() === expected.sort((a, b) => a - b).shift()
        for (const priority of steps) {
          if (priority !== undefined) {
            queue.add(priority, priority)
            expected.push(priority)
          } else if (!takesFirst()) return false
        }
        while (expected.length > 0) if (!takesFirst()) return false
        return takesFirst()
      })
    )
  )
})

t.test('an empty queue has no first item', async t => {
  const queue = new PriorityQueue<number>()
  t.equal(queue.takeFirst(), undefined)
  queue.add(1, 1)
  queue.clear()
  t.equal(queue.takeFirst(), undefined)
})

t.test('a hundred thousand items in the worst order take less than two seconds', async t => {
  const queue = new PriorityQueue<number>()
  const startedMs = performance.now()
  for (let id = 100_000; id > 0; id--) queue.add(id, id)
  for (let id = 1; id <= 100_000; id++) if (queue.takeFirst() !== id) t.fail(`not ${id}`)
  t.ok(performance.now() - startedMs < 2000)
})
