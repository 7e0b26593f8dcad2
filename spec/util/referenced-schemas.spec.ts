// Specs of the registry of schemas that references name.
import t from 'tap'
import { ReferencedSchemas } from '../../lib/util/referenced-schemas.js'

t.test('equal schemas are one, whatever names them', t => {
  const referenced = new ReferencedSchemas<string>()
  const root = () => ({ $defs: { a: { const: 1 }, b: { const: 2 }, c: true } })
  const [one, other] = [root(), root()]
  let count = 0
  const get = (document: object, reference: string) =>
    referenced.get(document as never, reference, (_, name) => `${name} ${++count}`)
  t.equal(get(one, '#/$defs/a'), 'a 1')
  t.equal(get(one, '#/$defs/a'), 'a 1')
  t.equal(get(other, '#/$defs/a'), 'a 1')
  t.equal(get(one, '#/%24defs/b'), 'b 2')
  t.equal(get(one, '#/$defs/b'), 'b 2')
  t.equal(get(one, '#'), 'undefined 3')
  for (const nothing of ['#/$defs/none', 'other.json', 'none.json']) t.equal(get(one, nothing), undefined)
  t.end()
})

t.test('differences may be ignored', t => {
  const referenced = new ReferencedSchemas<number>(/,\\"title\\":\\"\w+\\"/g)
  let count = 0
  const get = (title: string) => referenced.get({ const: 1, title }, '#', () => ++count)
  t.same([get('a'), get('b')], [1, 1])
  t.end()
})

t.test('so many are compared, and no more', t => {
  const referenced = new ReferencedSchemas<number>()
  let count = 0
  const get = (root: object) => referenced.get(root as never, '#', () => ++count)
  for (let i = 0; i < 1000; i++) get({ const: i % 500 })
  t.equal(count, 500)
  const root = { const: 0 }
  t.same([get(root), get(root)], [501, 501])
  t.end()
})
