import fc from 'fast-check'
import t from 'tap'
import { Queue } from '../../lib/util/queue.js'

t.test('a queue behaves as an array under any operations', async t => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: -300, max: -1 })))
  fc.assert(
    fc.property(steps, steps => {
      const queue = new Queue<number>()
      const array: number[] = []
      let next = 0
      for (const step of steps) {
        for (let i = 0; i < step; i++) {
          queue.push(++next)
          array.push(next)
        }
        for (let i = 0; i > step; i--) if (queue.shift() !== array.shift()) return false
        if (queue.size !== array.length || queue.first !== array[0]) return false
        if (array.some((entry, i) => queue.at(i) !== entry)) return false
      }
      queue.clear()
      return queue.size === 0 && queue.first === undefined && queue.shift() === undefined
    })
  )
  t.pass()
})
