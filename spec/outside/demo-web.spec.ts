// Tests `npm run demo:web` in a real browser: what the page shows, by mouse and by touch, in light and in dark.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { bundle, errorsOf, launchBrowser, noChromium } from '../support/chromium.js'
import { CHILD_ENV } from '../support/helpers.js'

const options = { skip: noChromium ?? false }

// biome-ignore lint/suspicious/noExplicitAny: the DOM, which the types here do not know
type Dom = any

const LAPTOP = { width: 1280, height: 800 }
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }

/** Elements whose texts must have the contrast of WCAG AA. */
const TEXTS = [
  'header p',
  '.status',
  '.cut',
  '.drop small',
  '#sample',
  '.figures dt',
  'h2 small',
  'h3',
  '.count',
  '#code i',
  '#code .calls',
  '#code .lit code',
  '#said li',
  '#messages .in',
  '#messages .out',
  '.hint'
]

/** Starts the demo. `stop` ends it, and asserts that it ends on the signal and that no page reported an error. */
async function startDemo(t: Test) {
  // Makes the collector run often, as with more garbage.
  const collecting = 'data:text/javascript,setInterval(gc, 100).unref()'
  const program = fileURLToPath(new URL('../../demos/web/server.ts', import.meta.url))
  const demo = spawn(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', '--import', collecting, program, '--port', '0'],
    { env: CHILD_ENV, stdio: ['ignore', 'pipe', 'inherit'] }
  )
  t.teardown(() => demo.kill('SIGKILL'))
  const [line] = await once(demo.stdout.setEncoding('utf8'), 'data')
  const [url] = /http:\S+/.exec(line)!
  const path = await bundle(t.testdir({}))
  const errors: string[] = []
  return {
    async open(context: BrowserContext): Promise<Page> {
      const page = await context.newPage()
      errorsOf(page, errors)
      await page.route('**/netref.js', route => route.fulfill({ path, contentType: 'text/javascript' }))
      await page.goto(url!)
      await page.waitForSelector('.status.on')
      await page.waitForSelector('#code li')
      return page
    },
    async stop() {
      t.same(errors, [])
      const exited = once(demo, 'exit')
      demo.kill('SIGTERM')
      t.same(await exited, [0, null], 'the demo ends on the signal')
    }
  }
}

/** Lets the server count a file, and waits for the result. */
async function count(page: Page, name: string, lines: readonly string[]) {
  await page.setInputFiles('#pick', { name, mimeType: 'text/plain', buffer: Buffer.from(lines.join('\n')) })
  await says(page, '#result', new RegExp(`counted .* in ${name}`))
}

/** Waits until an element has a text. */
const says = (page: Page, selector: string, text: RegExp) =>
  page.waitForFunction(
    ([selector, text]) =>
      new RegExp(text!).test((globalThis as Dom).document.querySelector(selector).textContent),
    [selector, text.source]
  )

const textsOf = (page: Page, selector: string): Promise<string[]> => page.locator(selector).allTextContents()

/** The lines of the service's method that were lit since `watchCode`, and those that are lit now. */
const litLines = (page: Page) =>
  page.evaluate(() => {
    const { document, wasLit } = globalThis as Dom
    const textOf = (item: Dom) => item.querySelector('code').textContent
    return {
      were: [...wasLit].map(textOf),
      are: [...document.querySelectorAll('#code .lit')].map(textOf)
    }
  })

/** Collects the lines that are lit from now on. */
const watchCode = (page: Page) =>
  page.evaluate(() => {
    const { document, MutationObserver } = globalThis as Dom
    const wasLit = new Set<Dom>()
    ;(globalThis as Dom).wasLit = wasLit
    const observer = new MutationObserver((records: Dom[]) => {
      for (const { target } of records) if (target.classList.contains('lit')) wasLit.add(target)
    })
    observer.observe(document.querySelector('#code'), { attributes: true, subtree: true })
  })

/** The WCAG contrast of two colours of a style, the second one that of the nearest ancestor with a background. */
const contrastOf = (page: Page, selector: string, property: string): Promise<number> =>
  page.evaluate(
    ([selector, property]) => {
      const { document, getComputedStyle } = globalThis as Dom
      const partsOf = (color: string) => color.match(/[\d.]+/g)!.map(Number)
      const luminanceOf = (color: string) => {
        const [red, green, blue] = partsOf(color).map(part => {
          const share = part / 255
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
        })
        return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
      }
      let element = document.querySelector(selector)
      const color = getComputedStyle(element)[property!]
      while (partsOf(getComputedStyle(element).backgroundColor)[3] === 0) element = element.parentElement
      const [dark, light] = [color, getComputedStyle(element).backgroundColor]
        .map(luminanceOf)
        .sort((a, b) => a - b)
      return (light! + 0.05) / (dark! + 0.05)
    },
    [selector, property]
  )

/** Asserts that nothing is wider than the page. */
const fits = async (t: Test, page: Page, name: string) => {
  const overflow = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = (globalThis as Dom).document.documentElement
    return scrollWidth - clientWidth
  })
  t.equal(overflow, 0, `nothing sticks out: ${name}`)
}

t.test('npm run demo:web', options, async t => {
  const demo = await startDemo(t)
  await using context = await launchBrowser({ viewport: LAPTOP })
  const [page, other] = [await demo.open(context), await demo.open(context)]
  const text = (selector: string) => page.textContent(selector)
  await page.bringToFront()

  await t.test('a short file: the lines of `line_counter` that run, and the log of calls', async t => {
    t.equal(await text('#said'), '', 'nothing yet')
    await watchCode(page)
    t.same((await litLines(page)).are, [], 'no line runs before the first count')
    await count(page, 'poem.txt', ['one', 'two', 'line 7'])
    t.equal(await text('#result'), 'The server counted 3 lines in poem.txt.')
    await says(page, '#lines', /^3$/)
    t.same(await textsOf(page, '#said li'), ['one', 'two', 'line 7'])
    t.equal(await text('#percent'), '100 %')
    t.same((await textsOf(page, '#messages li')).slice(-9), [
      '→ root.line_counter(file, noisy)',
      '← file.readlines(16384)',
      '→ returns ["one","two","line 7"]',
      '← noisy("one")',
      '← noisy("two")',
      '← noisy("line 7")',
      '← file.readlines(16384)',
      '→ returns []',
      '← returns 3'
    ])
    const source = (await textsOf(page, '#code code')).map(line => line.trim())
    t.match(source[0], /^async exposed_line_counter\(file: /)
    t.equal(source.at(-1), '}')
    const calls = await textsOf(page, '#code .calls')
    const [reads, returns, prints] = [/file\.readlines\(/, /return count/, /noisy\(line\)/].map(part =>
      source.findIndex(line => part.test(line))
    )
    t.same([calls[reads!], calls[returns!], calls[prints!]], ['2', '1', '3'])
    await page.waitForFunction(() => (globalThis as Dom).document.querySelectorAll('#code .lit').length === 1)
    const { were, are } = await litLines(page)
    t.same(
      were.map((line: string) => source.indexOf(line.trim())).sort(),
      [reads, returns, prints].sort(),
      'a line is lit if its call arrived, and no other line'
    )
    t.same(are, [source[returns!]], 'the last line that ran stays lit')
  })

  await t.test('pings, releases and empty results are not logged', async t => {
    await page.evaluate(() => {
      const { document, MutationObserver } = globalThis as Dom
      const messages = document.querySelector('#messages')
      const logged = ((globalThis as Dom).logged = new Set())
      new MutationObserver(() => {
        for (const { textContent } of messages.children) logged.add(textContent)
      }).observe(messages, { childList: true })
    })
    // The page pings once a second, and shows the time.
    await page.evaluate(
      () =>
        new Promise<void>(pinged => {
          const { document, MutationObserver } = globalThis as Dom
          const observer = new MutationObserver(() => {
            observer.disconnect()
            pinged()
          })
          observer.observe(document.querySelector('#ping'), { childList: true })
        })
    )
    await count(page, 'again.txt', ['one'])
    await says(page, '#messages', /returns 1$/)
    const logged: string[] = await page.evaluate(() => [...(globalThis as Dom).logged])
    t.ok(logged.includes('← noisy("one")'))
    t.same(
      logged.filter(line => !/^[→←] ([\w.]+\(.*\)|returns .+)$/.test(line)),
      []
    )
  })

  await t.test('the peak of calls a second stays until the next count', async t => {
    await count(
      page,
      'long.txt',
      Array.from({ length: 20_000 }, (_, i) => `line ${i}`)
    )
    t.equal(await text('#result'), 'The server counted 20,000 lines in long.txt.')
    await says(page, '#rate', /^0$/)
    const peakOf = async () => Number((await text('#peak'))!.replaceAll(',', ''))
    const peak = await peakOf()
    t.ok(peak > 1000, `${peak}`)
    await count(page, 'short.txt', ['one'])
    await page.waitForFunction(
      peak => (globalThis as Dom).document.querySelector('#peak').textContent.replaceAll(',', '') < peak,
      peak
    )
    t.ok((await peakOf()) > 0, 'also of a file that is shorter than a measurement')
  })

  await t.test('other tabs are in view, and may be called', async t => {
    await page.waitForFunction(
      () => (globalThis as Dom).document.querySelector('#export-count').textContent === '1'
    )
    t.same(
      await textsOf(page, '#exports li'),
      ['#1 Visitor {…}'],
      'the server holds no other reference of the page'
    )
    const { y, height } = (await page.locator('.others').boundingBox())!
    t.ok(y + height <= LAPTOP.height, `ends at ${y + height}`)
    t.equal(await page.evaluate(() => (globalThis as Dom).scrollY), 0)
    await page.click('#tabs button')
    await other.bringToFront()
    await says(other, '#waves', /waves to you/)
    await other.close()
    await page.bringToFront()
    await page.waitForFunction(() => !(globalThis as Dom).document.querySelector('#alone').hidden)
    const alone = (await page.locator('.others').boundingBox())!
    t.ok(alone.y + alone.height <= LAPTOP.height, 'also the text without other tabs')
  })

  await t.test('a cut is told for two seconds, and counted; the count goes on', async t => {
    await page.evaluate(() => {
      const { document, MutationObserver } = globalThis as Dom
      const status = document.querySelector('#status')
      const seen: Dom[] = ((globalThis as Dom).seen = [])
      new MutationObserver(() =>
        seen.push([performance.now(), status.className, status.textContent])
      ).observe(status, { attributes: true })
    })
    t.equal(await text('#cuts'), '0')
    await page.click('#sample')
    await page.waitForFunction(
      () => Number((globalThis as Dom).document.querySelector('#lines').textContent.replace(',', '')) > 5000
    )
    const before = await page.locator('.wire').boundingBox()
    await page.click('#cut')
    await page.waitForSelector('.status.kept')
    t.same(await page.locator('.wire').boundingBox(), before, 'nothing moves')
    await says(page, '#result', /200,000/)
    t.equal(await text('#result'), 'The server counted 200,000 lines in sample.txt.')
    await says(page, '#lines', /^200,000$/)
    t.ok(
      (await textsOf(page, '#code .calls')).includes('200,000'),
      'each line was printed once, although the socket was cut'
    )
    await page.waitForSelector('.status.on')
    const seen: [at: number, state: string, text: string][] = await page.evaluate(
      () => (globalThis as Dom).seen
    )
    t.match(
      seen.map(([, state, text]) => [state, text]),
      [
        ['status off', 'cut · looking for the server'],
        ['status kept', 'cut · carried on, nothing lost'],
        ['status on', /^connected as tab /]
      ]
    )
    const stayed = seen[2]![0] - seen[1]![0]
    t.ok(stayed >= 1999, `stayed ${stayed} ms`)
    t.equal(await text('#cuts'), '1')

    await page.click('#cut')
    await page.waitForSelector('.status.kept')
    t.equal(await text('#cuts'), '2', 'a cut of an idle session counts, too')
  })

  await t.test('the drop zone and the texts are seen in light and in dark', async t => {
    await count(page, 'last.txt', ['one'])
    await page.waitForSelector('#code .lit')
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      const edge = await contrastOf(page, '.drop', 'borderTopColor')
      t.ok(edge >= 3, `${colorScheme}, the edge of the drop zone: ${edge.toFixed(2)}`)
      for (const selector of TEXTS) {
        const contrast = await contrastOf(page, selector, 'color')
        t.ok(contrast >= 4.5, `${colorScheme}, ${selector}: ${contrast.toFixed(2)}`)
      }
    }
  })

  for (const width of [1200, 700, 390]) {
    await page.setViewportSize({ width, height: 800 })
    await fits(t, page, `${width} px`)
  }
  await demo.stop()
})

t.test('npm run demo:web, by touch', options, async t => {
  const demo = await startDemo(t)
  await using context = await launchBrowser(PHONE)
  const page = await demo.open(context)
  t.match(await page.innerText('#drop'), /^Choose a file\s+The server reads/)
  await count(page, 'wide.txt', ['wide '.repeat(100), 'narrow'])
  await says(page, '#messages', /returns 2$/)
  for (const row of ['#said li', '#messages li']) {
    const { style, cut } = await page.evaluate(row => {
      const { document, getComputedStyle } = globalThis as Dom
      const rows = [...document.querySelectorAll(row)]
      const { overflowX, textOverflow, whiteSpace } = getComputedStyle(rows[0])
      return {
        style: { overflowX, textOverflow, whiteSpace },
        cut: rows.filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).length
      }
    }, row)
    t.same(style, { overflowX: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'pre' }, row)
    t.ok(cut > 0, `a long line ends in an ellipsis: ${row}`)
  }
  await fits(t, page, 'a phone')
  await page.tap('#cut')
  await page.waitForSelector('.status.kept')
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = (globalThis as Dom).document.querySelector('#status')
    return { scrollWidth, clientWidth }
  })
  t.ok(scrollWidth <= clientWidth, 'the text about the cut is whole')
  await demo.stop()
})

t.test('npm run demo:web, by mouse: a file may be dropped anywhere', options, async t => {
  const demo = await startDemo(t)
  await using context = await launchBrowser()
  const page = await demo.open(context)
  t.match(await page.innerText('#drop'), /^Pick a file or drop it here\s/)
  await page.evaluate(() => {
    const { DataTransfer, DragEvent, File, document } = globalThis as Dom
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File(['one\ntwo'], 'dropped.txt'))
    document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }))
  })
  await says(page, '#result', /counted 2 lines in dropped.txt/)
  await demo.stop()
})
