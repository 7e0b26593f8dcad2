// A page with React that vite serves, as it does under development.
import { writeFile } from 'node:fs/promises'
import type { Server as WebServer } from 'node:http'
import { join } from 'node:path'
import react from '@vitejs/plugin-react'
import type { Test } from 'tap'
import { createServer } from 'vite'

const HTML =
  '<!doctype html><title>React</title><link rel="icon" href="data:,"><div id="app"></div>' +
  '<script type="module" src="/main.jsx"></script>'

/**
 * Serves a folder until the test ends. React is found from there.
 *
 * @param files texts by name; `main.jsx` renders into `#app`
 * @param modules files by the name that the page imports
 */
export async function serveByVite(
  t: Test,
  dir: string,
  files: Readonly<Record<string, string>>,
  modules: Readonly<Record<string, string>>
): Promise<WebServer> {
  for (const [name, text] of Object.entries({ 'index.html': HTML, ...files }))
    await writeFile(join(dir, name), text)
  const vite = await createServer({
    root: dir,
    cacheDir: join(dir, 'cache'),
    configFile: false,
    logLevel: 'error',
    plugins: [react()],
    resolve: { alias: { ...modules } },
    server: { host: '127.0.0.1', port: 0 }
  })
  t.teardown(() => vite.close())
  await vite.listen()
  return vite.httpServer as WebServer
}
