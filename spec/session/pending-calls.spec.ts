import fc from 'fast-check'
import t from 'tap'
import { InFlight } from '../../lib/session/pending-calls.js'
import { LazyMap } from '../../lib/util/lazy-map.js'

/** So many are added, or one of those that are there is taken out: the one at that part of them, beginning with the oldest. */
const step = fc.oneof(
  fc.record({ add: fc.oneof(fc.nat(9), fc.nat(400), fc.integer({ min: 1000, max: 3000 })) }),
  fc.record({ take: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), times: fc.nat(400) })
)
const steps = fc.array(step, { maxLength: 60 })

t.test('what is in flight is what was added and not taken out, as in a map', async t => {
  fc.assert(
    fc.property(
      steps,
      fc.constantFrom(1, 2 ** 31 - 5000, 2 ** 32 - 5000, 2 ** 53 - 300_000),
      (steps, first) => {
        const inFlight = new InFlight<{ id: number }>()
        const model = new Map<number, { id: number }>()
        let id = first
        for (const step of steps) {
          if ('add' in step) {
            for (let i = 0; i < step.add; i++) {
              const entry = { id: id++ }
              inFlight.add(entry)
              model.set(entry.id, entry)
            }
          } else {
            const there = [...model.keys()]
            const from = Math.floor(step.take * there.length)
            for (const gone of there.slice(from, from + step.times)) {
              if (inFlight.get(gone) !== model.get(gone) || !inFlight.delete(gone)) return false
              if (inFlight.get(gone) !== undefined || inFlight.delete(gone)) return false
              model.delete(gone)
            }
          }
          if (inFlight.size !== model.size) return false
        }
        for (const [id, entry] of model) if (inFlight.get(id) !== entry) return false
        const all = inFlight.clear()
        const inOrder = [...model.values()]
        return inFlight.size === 0 && all.length === inOrder.length && all.every((e, i) => e === inOrder[i])
      }
    )
  )
  t.same(new InFlight().clear(), [])

  const inFlight = new InFlight<{ id: number }>()
  for (const many of [1000, 1, 3, 1000]) {
    for (let id = 1; id <= many; id++) inFlight.add({ id })
    for (let id = many; id > 0; id--) if (!inFlight.delete(id)) t.fail('was there')
    t.equal(inFlight.size, 0)
  }
})

t.test('a sparse map is a map, whatever comes and goes', async t => {
  fc.assert(
    fc.property(steps, steps => {
      const map = new LazyMap<number, string>()
      const model = new Map<number, string>()
      let key = 0
      for (const step of steps) {
        if ('add' in step) {
          for (let i = 0; i < step.add; i++) {
            map.set(++key, `${key}`)
            model.set(key, `${key}`)
          }
        } else {
          const there = [...model.keys()]
          const from = Math.floor(step.take * there.length)
          for (const gone of there.slice(from, from + step.times)) {
            if (!map.has(gone) || !map.delete(gone) || map.has(gone) || map.delete(gone)) return false
            model.delete(gone)
          }
        }
        if (map.size !== model.size || map.get(key) !== model.get(key)) return false
      }
      const values = [...map.values()]
      const same = values.join() === [...model.values()].join()
      map.clear()
      return same && map.size === 0
    })
  )
  t.same([...new LazyMap().values()], [])

  const map = new LazyMap<number, string>()
  for (const left of [0, 1]) {
    for (let key = left; key < 100; key++) map.set(key, 'there')
    for (let key = left; key < 100; key++) if (!map.delete(key)) t.fail('was there')
    map.set(0, 'left')
    t.same([...map.values()], ['left'])
  }
})
