// Tests the hooks of `netref/react` on a server, with React 18 and 19.
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import t from 'tap'
import { buildForNode } from '../../.build/node-build.js'
import { serve } from '../../lib/index.js'
import { waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const APP = `
import { createElement as h, Suspense } from 'react'
import { renderToPipeableStream, renderToString } from 'react-dom/server'
import { useConnection, useConnectionState, useRemote } from './react.js'
export { version } from 'react'
function List({ url }) {
  const conn = useConnection(url)
  return h('p', { title: useConnectionState(conn) }, useRemote(() => conn.root.list(), [conn]).join())
}
const page = url => h(Suspense, { fallback: 'loading' }, h(List, { url }))
export const toText = url => renderToString(page(url))
export function toStream(url, output) {
  const { pipe } = renderToPipeableStream(page(url), { onAllReady: () => pipe(output) })
}
`

for (const [major, modules] of [
  ['18', join(root, 'node_modules')],
  ['19', join(root, 'spec/support/react-19/node_modules')]
] as const)
  t.test(`React ${major} waits for results on a server, and nothing is left`, async t => {
    const dir = t.testdir({ 'app.js': APP, 'package.json': '{ "type": "module" }' })
    await buildForNode(dir)
    await build({
      entryPoints: [join(dir, 'app.js')],
      outfile: join(dir, 'bundle.cjs'),
      bundle: true,
      platform: 'node',
      external: ['ws'],
      alias: { react: join(modules, 'react'), 'react-dom': join(modules, 'react-dom') },
      logLevel: 'error'
    })
    const app: Untyped = (await import(pathToFileURL(join(dir, 'bundle.cjs')).href)).default
    t.match(app.version, new RegExp(`^${major}\\.`))
    let calls = 0
    const server = await serve({ list: () => [`call ${++calls}`] }, { port: 0 })
    const html = new PassThrough()
    app.toStream(server.url, html)
    t.equal(await text(html), '<!--$--><p title="connecting">call 1</p><!--/$-->')
    t.match(app.toText(server.url), /call 1/, 'for a moment, other requests use the result')
    await waitUntil(() => server.sessions.size === 0, 'the connection that no component has is closed')
    t.match(app.toText(server.url), /loading/, 'renderToString does not wait')
    await waitUntil(() => calls === 2)
    await waitUntil(() => server.sessions.size === 0, 'and is closed')
    await server.close()
  })
