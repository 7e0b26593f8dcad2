// Runs a built application of Next.js: with `next start` beside a server of netref, and, built by webpack, with a server
// of its own.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { serve } from '../../lib/index.js'
import { errorsOf, launchBrowser, noChromium } from '../support/chromium.js'
import { CHILD_ENV, waitUntil } from '../support/helpers.js'
import { LineCounter } from './check-page.js'

const ENV = { ...CHILD_ENV, NEXT_TELEMETRY_DISABLED: '1' }

/** Next.js would download its compiler if npm did not install one for this platform. */
export async function missingForNext(folder: string): Promise<string | undefined> {
  const packages = await readdir(join(folder, 'node_modules/@next')).catch(() => [])
  if (packages.some(name => name.startsWith('swc-'))) return undefined
  return `npm has no package @next/swc-* for ${process.platform}-${process.arch}`
}

/**
 * @returns what was not checked, and why
 * @throws Error if a part of the application fails
 */
export async function checkNext(folder: string): Promise<string | undefined> {
  // The origin of the page is not known before Next.js listens.
  const server = await serve(LineCounter, { port: 0, allowedOrigins: '*' })
  const start = ['node_modules/next/dist/bin/next', 'start', '--port', '0']
  await checkApplication(folder, start, { NETREF_URL: server.url }, () =>
    waitUntil(() => server.sessions.size === 1, 'the hooks close their sessions; the program keeps its own')
  )
  await server.close()
  await promisify(execFile)('npm', ['run', 'webpack'], { cwd: folder, env: ENV })
  await checkApplication(folder, ['server.js'], { NODE_ENV: 'production', PORT: '0' })
  return noChromium && `its page is fetched, but not opened: ${noChromium}`
}

async function checkApplication(
  cwd: string,
  program: string[],
  variables: Record<string, string>,
  more?: () => Promise<void>
): Promise<void> {
  const env = { ...ENV, ...variables }
  const child = spawn(process.execPath, program, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  try {
    const origin = await Promise.race([originFrom(child.stdout), ended.then(() => undefined)])
    if (origin === undefined) throw new Error(`${program.join(' ')} ended`)
    await checkAnswers(origin)
    if (!noChromium) await checkInBrowser(origin)
    await more?.()
  } finally {
    child.kill()
    await ended
  }
}

/** The address that a program prints. */
async function originFrom(output: Readable): Promise<string | undefined> {
  let text = ''
  for await (const chunk of output.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    text += chunk
    const [, origin] = /Local: +(\S+)\n/.exec(text) ?? []
    if (origin) {
      output.resume()
      return origin
    }
  }
  return undefined
}

/** The server component, the client component as the server renders it, and the route handler. */
async function checkAnswers(origin: string): Promise<void> {
  const html = await (await fetch(origin)).text()
  for (const text of ['On the server: 2 lines, one, two', 'connecting: 1 line, '])
    if (!html.includes(text)) throw new Error(`the page has no "${text}": ${html}`)
  const response = await fetch(`${origin}/count`, { method: 'POST', body: 'six\nseven' })
  const answer = await response.text()
  if (answer !== '{"count":2,"heard":["six","seven"]}') throw new Error(`/count answers ${answer}`)
}

/** The client component in a page. */
async function checkInBrowser(origin: string): Promise<void> {
  await using context = await launchBrowser()
  const page = await context.newPage()
  const errors = errorsOf(page)
  try {
    await page.goto(origin)
    await page.waitForSelector('text=open: 1 line')
    await page.click('button')
    await page.waitForSelector('text=open: 1 line, four, five')
    if (errors.length > 0) throw new Error('the page printed an error')
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${errors.join('\n')}`)
  }
}
