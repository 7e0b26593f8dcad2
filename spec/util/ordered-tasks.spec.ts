import fc from 'fast-check'
import t from 'tap'
import { OrderedTasks } from '../../lib/util/ordered-tasks.js'

t.test('what is to be done first comes first, whenever it was added', async t => {
  const step = fc.option(fc.nat(50), { nil: undefined })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      const turns = new OrderedTasks()
      const there: number[] = []
      let done: number | undefined
      const take = () => {
        done = undefined
        turns.takeFirst()?.()
        return done
      }
      for (const id of steps) {
        if (id !== undefined) {
          turns.add(id, () => {
            done = id
          })
          there.push(id)
        } else if (take() !== there.sort((a, b) => a - b).shift()) return false
      }
      return there.sort((a, b) => a - b).every(id => take() === id) && take() === undefined
    })
  )
  t.equal(new OrderedTasks().takeFirst(), undefined)
})

t.test('a hundred thousand come in the worst order', async t => {
  const turns = new OrderedTasks()
  const began = performance.now()
  let last = 0
  for (let id = 100_000; id > 0; id--)
    turns.add(id, () => {
      last = id
    })
  for (let id = 1; id <= 100_000; id++) {
    turns.takeFirst()!()
    if (last !== id) t.fail(`${last} for ${id}`)
  }
  t.ok(performance.now() - began < 2000, 'it would be a minute, were each put into its place in a list')
})
