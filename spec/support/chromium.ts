// A real browser, and a web server for its pages.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server as WebServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { CHILD_ENV } from './helpers.js'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const FLAGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking ' +
  '--disable-component-update --disable-sync --js-flags=--expose-gc'

/* c8 ignore start: which of the two it is depends on the machine. */
/** Why there is no browser; undefined if there is one. */
export const noChromium = existsSync(CHROMIUM)
  ? undefined
  : `there is no ${CHROMIUM}: install Debian's package chromium, or set CHROMIUM`
/* c8 ignore stop */

/** Launches a browser with an empty profile, and with further flags. `await using` closes it. */
export async function launchBrowser(
  options: BrowserContextOptions = {},
  ...flags: string[]
): Promise<BrowserContext & AsyncDisposable> {
  const profile = await mkdtemp(join(tmpdir(), 'netref-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    ...options,
    executablePath: CHROMIUM,
    headless: true,
    args: [...FLAGS.split(' '), ...flags],
    // playwright turns the back/forward cache off.
    ignoreDefaultArgs: ['--disable-back-forward-cache']
  })
  return Object.assign(context, {
    async [Symbol.asyncDispose]() {
      await context.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    }
  })
}

/** Collects uncaught errors and console errors of a page from now on. */
export function errorsOf(page: Page, errors: string[] = []): string[] {
  page.on('pageerror', error => errors.push(error.message))
  /* c8 ignore next: only a page that fails says anything there. */
  page.on('console', message => message.type() === 'error' && errors.push(message.text()))
  return errors
}

/** Builds the browser bundle as the package does. */
export async function bundle(dir: string): Promise<string> {
  const file = join(dir, 'netref.js')
  const root = fileURLToPath(new URL('../..', import.meta.url))
  await promisify(execFile)('npm', ['run', 'build:browser', '--', file], {
    cwd: root,
    env: CHILD_ENV
  })
  return file
}

/** The strictest content security policy that allows scripts. */
const POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; frame-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "require-trusted-types-for 'script'"

/** Serves texts and files by path, under the policy. */
export async function serveFiles(files: Record<string, string | { file: string }>): Promise<WebServer> {
  const web = createServer(async (request, response) => {
    const found = files[new URL(request.url!, 'http://x').pathname]
    const type = request.url!.endsWith('.js') ? 'text/javascript' : 'text/html'
    response.writeHead(found === undefined ? 404 : 200, {
      'content-type': `${type}; charset=utf-8`,
      'content-security-policy': POLICY
    })
    response.end(typeof found === 'object' ? await readFile(found.file) : found)
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  return web
}

export const originOf = (web: WebServer): string => `http://127.0.0.1:${(web.address() as AddressInfo).port}`
