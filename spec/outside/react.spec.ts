// Tests the hooks of `netref/react` in Chromium: React 18 and 19 in StrictMode, under vite, which replaces a component; pages
// that a server has rendered; and `use` of React 19.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { buildForBundlers } from '../../.build/page-build.js'
import { expose, Service, serve } from '../../lib/index.js'
import { errorsOf, launchBrowser, noChromium, originOf } from '../support/chromium.js'
import { waitUntil } from '../support/helpers.js'
import { serveByVite } from '../support/vite-page.js'

let listed = 0
class Counters extends Service {
  exposed_counter(_name: string) {
    let count = 0
    return expose({ increment: () => ++count })
  }
  async exposed_list() {
    listed++
    return ['a', 'b']
  }
}

const MAIN = `
import { StrictMode, Suspense, version } from 'react'
import { createRoot } from 'react-dom/client'
import { Page } from './page.jsx'

const page = createRoot(document.getElementById('app'))
const url = location.origin.replace('http', 'ws') + '/netref'
page.render(<StrictMode><Suspense fallback="waiting"><Page url={url} /></Suspense></StrictMode>)
Object.assign(window, { version, unmount: () => page.unmount() })
`
const pageOf = (version: number, name: string) => `
import { useConnection, useConnectionState, useRemote } from 'netref/react'
import { useState } from 'react'

export function Page({ url }) {
  const conn = useConnection(url)
  const counter = useRemote(() => conn.root.counter('${name}'), [conn])
  const names = useRemote(() => conn.root.list(), [conn])
  const [count, setCount] = useState(0)
  const increment = async () => setCount(await counter.increment())
  return <button onClick={increment}>version ${version}: {useConnectionState(conn)} {names} {count}</button>
}
`

/** Renders to text as a server does, and hydrates that text after the page is loaded again: no result is in its cache. */
const HYDRATED_MAIN = `
import { Suspense } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { renderToReadableStream } from 'react-dom/server.browser'
import { Page } from './page.jsx'

const url = location.origin.replace('http', 'ws') + '/netref'
const element = <Suspense fallback="waiting"><Page url={url} /></Suspense>
const app = document.getElementById('app')
app.innerHTML = sessionStorage.html ?? ''
if (sessionStorage.html) {
  hydrateRoot(app, element, { onRecoverableError: error => console.error(error) })
  window.rendered = sessionStorage.html
} else {
  const stream = await renderToReadableStream(element)
  await stream.allReady
  sessionStorage.html = await new Response(stream).text()
  location.reload()
}
`
const USE_MAIN = `
import { Suspense, use } from 'react'
import { createRoot } from 'react-dom/client'
import { connect } from 'netref'

const conn = connect(location.origin.replace('http', 'ws') + '/netref')
const names = Promise.resolve(conn.root.list())
const List = () => <p>names: {use(names)}</p>
createRoot(document.getElementById('app')).render(<Suspense fallback="waiting"><List /></Suspense>)
`

// biome-ignore lint/suspicious/noExplicitAny: this program has no types of a page
type Dom = any

const VERSIONS = [
  ['18', '../support/'],
  ['19', '../support/react-19/']
] as const

/** Serves files under vite in a folder that finds one version of React, with netref's service beside them. */
async function servePage(t: Test, folder: string, files: Readonly<Record<string, string>>) {
  listed = 0
  const dir = await mkdtemp(join(fileURLToPath(new URL(folder, import.meta.url)), 'page-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  await buildForBundlers(join(dir, 'netref'))
  const web = await serveByVite(t, dir, files, {
    'netref/react': join(dir, 'netref/react.js'),
    netref: join(dir, 'netref/index.js')
  })
  const server = await serve(Counters, { server: web, path: '/netref' })
  return { dir, server, origin: originOf(web) }
}

for (const [major, folder] of VERSIONS)
  t.test(`React ${major}: StrictMode, hot reload and unmounting`, { skip: noChromium ?? false }, async t => {
    const files = { 'main.jsx': MAIN, 'page.jsx': pageOf(1, 'a') }
    const { dir, server, origin } = await servePage(t, folder, files)
    let begun = 0
    server.on('session', () => begun++)
    await using context = await launchBrowser()
    const page = await context.newPage()
    const errors = errorsOf(page)
    await page.goto(origin)
    await page.waitForSelector('text=version 1: open ab 0')
    t.match(await page.evaluate(() => (globalThis as Dom).version), new RegExp(`^${major}\\.`))
    await page.click('button')
    await page.waitForSelector('text=version 1: open ab 1')
    t.same([begun, listed], [1, 1], 'one session and one call')

    await writeFile(join(dir, 'page.jsx'), pageOf(2, 'a'))
    await page.waitForSelector('text=version 2: open ab')
    await page.click('button')
    await page.waitForSelector('text=version 2: open ab 2')
    await writeFile(join(dir, 'page.jsx'), pageOf(3, 'b'))
    await page.waitForSelector('text=version 3: open ab')
    await page.click('button')
    await page.waitForSelector('text=version 3: open ab 1')
    const [session] = server.sessions
    await waitUntil(() => session!.stats.exports === 1, 'the counter of the function before is released')
    t.same([begun, listed], [1, 1], 'a hot reload keeps the session and the results')

    await page.evaluate(() => (globalThis as Dom).unmount())
    await waitUntil(() => server.sessions.size === 0)
    t.same(errors, [], 'the console has no error')
    await context.close()
    await server.close()
  })

for (const [major, folder] of VERSIONS)
  t.test(
    `React ${major}: a page that a server has rendered is hydrated`,
    { skip: noChromium ?? false },
    async t => {
      const files = { 'main.jsx': HYDRATED_MAIN, 'page.jsx': pageOf(1, 'a') }
      const { server, origin } = await servePage(t, folder, files)
      await using context = await launchBrowser()
      const page = await context.newPage()
      const errors = errorsOf(page)
      await page.goto(origin)
      await page.waitForSelector('text=version 1: open ab 0')
      t.match(await page.evaluate(() => (globalThis as Dom).rendered), /version .*1.*connecting.*a.*b/s)
      await page.click('button')
      await page.waitForSelector('text=version 1: open ab 1')
      t.same(errors, [], 'the console has no error, also of hydration')
      await context.close()
      await waitUntil(() => server.sessions.size === 0)
      await server.close()
    }
  )

t.test('React 19: `use` takes a promise of a pending result', { skip: noChromium ?? false }, async t => {
  const { server, origin } = await servePage(t, VERSIONS[1][1], { 'main.jsx': USE_MAIN })
  await using context = await launchBrowser()
  const page = await context.newPage()
  const errors = errorsOf(page)
  await page.goto(origin)
  await page.waitForSelector('text=names: ab')
  t.same(errors, [], 'the console has no error')
  await context.close()
  await waitUntil(() => server.sessions.size === 0)
  await server.close()
})
