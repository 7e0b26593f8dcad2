// Specs of the visit of objects that describe themselves.
import t from 'tap'
import { describeTree } from '../../lib/util/object-tree.js'

type Node = { readonly [name: string]: Node | string }

const paths = async (root: Node) => {
  const objects = await describeTree<Node, { name: string; kind: string }>(root, {
    describe: async node =>
      Object.entries(node).map(([name, member]) => ({
        name,
        kind: typeof member === 'string' ? member : 'object'
      })),
    memberOf: (node, name) => node[name] as Node
  })
  return objects.map(({ path }) => path.join('.'))
}

t.test('objects are visited breadth first', async t => {
  t.same(await paths({ a: { c: { x: 'value' } }, run: 'function', b: {} }), ['', 'a', 'b', 'a.c'])
})

t.test('cycles, deep trees and wide ones end', async t => {
  const cycle: Record<string, Node | string> = { name: 'value' }
  cycle.self = cycle
  t.same(await paths(cycle), [''])
  t.same(await paths({ in: { deep: cycle } }), ['', 'in', 'in.deep'])
  let deep: Node = {}
  for (let i = 0; i < 20; i++) deep = { [`d${i}`]: deep }
  t.equal((await paths(deep)).length, 8)
  t.equal((await paths(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`o${i}`, {}])))).length, 256)
})
