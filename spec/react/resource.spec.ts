// Tests how long resources without a component are kept.
import t from 'tap'
import { Resource } from '../../lib/react/resource.js'
import { waitUntil } from '../support/helpers.js'

class Counted extends Resource {
  readonly hasFailed = false
  isClosed = false
  constructor(public isPending: boolean) {
    super()
    this.keep()
  }
  close() {
    this.isClosed = true
  }
}

t.test('while a resource is pending, the oldest of many others are disposed of', async t => {
  const pending = new Counted(true)
  const others = Array.from({ length: 1200 }, () => new Counted(false))
  const closed = () => others.filter(({ isClosed }) => isClosed)
  await waitUntil(() => closed().length >= 200)
  t.same(closed(), others.slice(0, 200), 'a thousand are kept')
  t.notOk(pending.isClosed)
  pending.isPending = false
  await waitUntil(() => pending.isClosed && closed().length === 1200)
})
