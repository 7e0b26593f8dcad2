// `npm run demo:web`: a page whose file the server counts. The server serves the page and one session for each tab.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { serve } from 'netref'
import { dim, logFailedCall, main } from '../terminal.js'
import { Tab } from './tab.js'

const FILES: Record<string, readonly [file: string, type: string]> = {
  '/': ['page/index.html', 'text/html'],
  '/icon.svg': ['page/icon.svg', 'image/svg+xml'],
  '/style.css': ['page/style.css', 'text/css'],
  '/page.js': ['page/page.js', 'text/javascript'],
  '/view.js': ['page/view.js', 'text/javascript'],
  '/calls.js': ['page/calls.js', 'text/javascript'],
  '/code.js': ['page/code.js', 'text/javascript'],
  '/page-file.js': ['page/page-file.js', 'text/javascript'],
  '/line-counter.ts': ['../line-counter/line-counter.ts', 'text/plain'],
  '/netref.js': ['../../dist/browser.js', 'text/javascript']
}

/** Only scripts of this server may run, and none may evaluate text. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"

/** Serves the page and its sessions. */
async function serveWeb(port: number): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Map<string, Socket>()
  const web = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://localhost')
    if (request.method === 'POST' && pathname === '/cut') {
      sockets.get(String(searchParams.get('tab')))?.destroy()
      response.writeHead(204).end()
      return
    }
    const [file, type] = FILES[pathname] ?? []
    if (!file) {
      response.writeHead(404).end('not found')
      return
    }
    const body = await readFile(new URL(file, import.meta.url))
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': POLICY })
    response.end(body)
  })
  web.on('upgrade', (request, socket) => {
    const tab = new URL(request.url!, 'http://localhost').searchParams.get('tab')
    if (tab) sockets.set(tab, socket as Socket)
    socket.on('close', () => {
      if (tab && sockets.get(tab) === socket) sockets.delete(tab)
    })
  })
  const server = await serve(Tab, { server: web, onCallError: logFailedCall })
  await new Promise<void>((listening, failed) => {
    web.once('error', failed)
    web.listen(port, '127.0.0.1', listening)
  })
  const close = async () => {
    await server.close()
    web.closeAllConnections()
    await new Promise(closed => web.close(closed))
  }
  return { url: server.url.replace('ws:', 'http:'), close }
}

await main(async () => {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '18862' } } })
  const { url, close } = await serveWeb(Number(values.port))
  console.log(`${dim('server')}  open ${url} in a browser; open it in two tabs to connect them`)
  for (const end of ['SIGINT', 'SIGTERM']) {
    process.once(end, async () => {
      await close()
      process.exit()
    })
  }
})
