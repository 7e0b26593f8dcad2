import t from 'tap'
import { type Netref, Service } from '../lib/index.js'
import { overMemory, overSocket } from './helpers.js'

class Calculator extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
  async exposed_each(items: number[], use: Netref<(item: number) => void>) {
    for (const item of items) await use(item)
    return items.length
  }
}

for (const over of [overMemory, overSocket]) {
  t.test(`calls and callbacks, ${over.name}`, t =>
    over(t, Calculator, async conn => {
      t.equal(await conn.root.add(1, 2), 3)
      const seen: number[] = []
      t.equal(await conn.root.each([1, 2, 3], item => void seen.push(item)), 3)
      t.same(seen, [1, 2, 3])
    })
  )
}
