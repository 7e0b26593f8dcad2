// Tests a page under development: vite replaces a React component while it is used, and its session ends with it.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { expose, Service, serve } from '../../lib/index.js'
import { bundle, errorsOf, launchBrowser, noChromium, originOf } from '../support/chromium.js'
import { waitUntil } from '../support/helpers.js'
import { serveByVite } from '../support/vite-page.js'

class Counters extends Service {
  exposed_counter() {
    let count = 0
    return expose({ increment: () => ++count })
  }
}

const MAIN = `
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Counter } from './counter.jsx'

const page = createRoot(document.getElementById('app'))
page.render(<StrictMode><Counter url={location.origin.replace('http', 'ws') + '/netref'} /></StrictMode>)
window.unmount = () => page.unmount()
`
/** A component with a hook of its own, without `netref/react`. */
const componentOf = (version: number) => `
import { connect } from 'netref'
import { useEffect, useState } from 'react'

function useRemote(url) {
  const [root, setRoot] = useState()
  useEffect(() => {
    const conn = connect(url)
    setRoot(conn.root)
    return () => void conn.close()
  }, [url])
  return root
}

export function Counter({ url }) {
  const root = useRemote(url)
  const [counter, setCounter] = useState()
  const [count, setCount] = useState(0)
  useEffect(() => {
    setCounter(undefined)
    root?.counter().then(setCounter, () => {})
  }, [root])
  const increment = async () => setCount(await counter.increment())
  return <button disabled={!counter} onClick={increment}>version {${version}}: count {count}</button>
}
`

// biome-ignore lint/suspicious/noExplicitAny: this program has no types of a page
type Dom = any

t.test('a component that vite replaces leaves no session', { skip: noChromium ?? false }, async t => {
  const dir = t.testdir({})
  const files = { 'main.jsx': MAIN, 'counter.jsx': componentOf(1) }
  const web = await serveByVite(t, dir, files, { netref: await bundle(dir) })
  // Beside vite's own sockets.
  const server = await serve(Counters, { server: web, path: '/netref' })
  let begun = 0
  server.on('session', () => begun++)
  await using context = await launchBrowser()
  const page = await context.newPage()
  const errors = errorsOf(page)
  await page.goto(originOf(web))

  await page.click('button:enabled', { clickCount: 2 })
  await page.waitForSelector('text=version 1: count 2')
  await waitUntil(() => server.sessions.size === 1)
  await page.evaluate(() => {
    ;(globalThis as Dom).sameWindow = true
  })

  for (const version of [2, 3, 4]) {
    const before = begun
    await writeFile(join(dir, 'counter.jsx'), componentOf(version))
    await page.waitForSelector(`text=version ${version}: count 2`)
    await waitUntil(() => begun > before && server.sessions.size === 1)
    await page.click('button:enabled')
    await page.waitForSelector(`text=version ${version}: count 1`)
    await page.click('button:enabled')
    await page.waitForSelector(`text=version ${version}: count 2`)
    const [session] = server.sessions
    await waitUntil(() => session!.stats.exports === 1, 'the counter of the component that is there')
  }
  t.ok(await page.evaluate(() => (globalThis as Dom).sameWindow), 'the page was not loaded again')

  await page.evaluate(() => (globalThis as Dom).unmount())
  await waitUntil(() => server.sessions.size === 0)
  t.same(errors, [], 'no side printed an error')
  await context.close()
  await server.close()
})
