// Opens the page that a bundler built in Chromium, beside a server of netref.
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type Netref, Service, serve } from '../../lib/index.js'
import { errorsOf, launchBrowser, noChromium, originOf, serveFiles } from '../support/chromium.js'
import { waitUntil } from '../support/helpers.js'

/** The service of all pages. */
export class LineCounter extends Service {
  async exposed_count(lines: string[], noisy: Netref<(line: string) => unknown>) {
    for (const line of lines) await noisy(line)
    return lines.length
  }
}

/**
 * Serves `dist` of a folder, and its `index.html` if `dist` has none.
 *
 * @returns why the page was not opened, if it was not
 * @throws Error if the page shows something else than `page.js` does, prints an error, or leaves its session open
 */
export async function checkPage(folder: string): Promise<string | undefined> {
  if (noChromium) return `its page is not opened: ${noChromium}`
  const dist = join(folder, 'dist')
  const files: Record<string, string | { file: string }> = {
    '/': await readFile(join(folder, 'index.html'), 'utf8')
  }
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    files[`/${relative(dist, file)}`.replace('/index.html', '/')] = { file }
  }
  const web = await serveFiles(files)
  const server = await serve(LineCounter, { server: web })
  await using context = await launchBrowser()
  const page = await context.newPage()
  const errors = errorsOf(page)
  try {
    await page.goto(originOf(web))
    await page.waitForSelector('text=2 lines, closed')
    const shown = (await page.innerText('body')).trim()
    if (shown !== 'one\ntwo\n2 lines, closed') throw new Error(`the page shows ${shown}`)
    await waitUntil(() => server.sessions.size === 0, 'the page closes its session')
    if (errors.length > 0) throw new Error('the page printed an error')
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${errors.join('\n')}`)
  } finally {
    await server.close()
    web.closeAllConnections()
    web.close()
  }
}
