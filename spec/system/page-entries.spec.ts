// Tests the modules that bundlers load for pages, as far as Node can run them: their entries share one registry.
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { WebSocket } from 'ws'
import { buildForBundlers } from '../../.build/page-build.js'
import { serve } from '../../lib/index.js'
import { rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const folder = t.testdir()
await buildForBundlers(folder)
const load = (entry: string) => import(pathToFileURL(`${folder}/${entry}.js`).href)

t.test('a page adds streams to lite, and lite to the rest', async t => {
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => Reflect.deleteProperty(globalThis, 'WebSocket'))
  await using server = await serve(
    {
      *count(to: number) {
        for (let i = 1; i <= to; i++) yield i
      },
      run: (callback: Untyped) => callback(2)
    },
    { port: 0 }
  )
  const lite: typeof import('../../lib/lite.js') = await load('lite')
  await using small = lite.connect<Untyped>(server.url)
  t.equal(await small.root.run((n: number) => 2 * n), 4)
  t.match(await rejectionOf(small.root.count(3)), { code: 'unreadable', message: /import 'netref\/streams'/ })
  t.match(await rejectionOf(small.root.missing()), { name: 'ExposureError', code: 'not-exposed' })
  t.throws(() => lite.connect(server.url, { renew: true }), /not part of 'netref\/lite'/)

  await load('streams')
  await using conn = lite.connect<Untyped>(server.url)
  const items: number[] = []
  for await (const item of conn.root.count(3)) items.push(item)
  t.same(items, [1, 2, 3])

  const index: typeof import('../../lib/index.js') = await load('index')
  t.equal(index.connect, lite.connect)
  t.equal(index.LimitError, lite.LimitError)
  await using renewed = lite.connect<Untyped>(server.url, { renew: true })
  t.equal(await renewed.root.run((n: number) => n), 2, 'with `netref` itself, lite has all of it')
})
