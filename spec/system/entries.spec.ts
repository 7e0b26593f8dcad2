// Tests the build for Node: all entries of the package share one copy of each module.
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { buildForNode, NODE_ENTRIES } from '../../.build/node-build.js'
import { assertClean, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

/** Modules that are no entries of the package stand for entries that use the same modules. */
const FURTHER_ENTRIES = ['errors', 'codec/registry', 'remote/netref']

const folder = t.testdir()
const { outputs } = await buildForNode(folder, [...NODE_ENTRIES, ...FURTHER_ENTRIES])
const load = async (entry: string) => import(pathToFileURL(`${folder}/${entry}.js`).href)
const index: typeof import('../../lib/index.js') = await load('index')
const errors: typeof import('../../lib/errors.js') = await load('errors')
const registry: typeof import('../../lib/codec/registry.js') = await load('codec/registry')
const { Netref }: typeof import('../../lib/remote/netref.js') = await load('remote/netref')

t.test('each module of the library is in one file of the build', async t => {
  const files = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs))
  t.ok(files.includes('lib/codec/registry.ts'))
  t.same(
    files.filter((file, i) => files.indexOf(file) !== i),
    []
  )
})

t.test('what one entry registers holds in the sessions of another', async t => {
  class Point {
    constructor(readonly x: number) {}
  }
  class Broken extends Error {}
  registry.registerType(Point, { name: 'Point', encode: ({ x }) => x, decode: x => new Point(x) })
  registry.registerError(Broken, { name: 'Broken' })
  await using joined = index.pair({
    echo: (value: unknown) => value,
    fail() {
      throw new Broken('broken')
    },
    object: () => index.expose({})
  })
  const { root } = joined
  const point = new Point(1)
  const echoed = await root.echo(point)
  t.ok(echoed instanceof Point && echoed !== point)
  t.ok((await rejectionOf(root.fail())) instanceof Broken)
  const object = await root.object()
  t.ok(Netref.is(object))
  Netref.release(object)
  t.ok((await rejectionOf((root as Untyped).missing())) instanceof errors.ExposureError)
  await assertClean(t, joined.session as never, joined.served as never)
})

t.test('exported classes and functions keep their names', t => {
  for (const [name, value] of Object.entries(index))
    if (typeof value === 'function') t.equal(value.name, name)
  t.end()
})
