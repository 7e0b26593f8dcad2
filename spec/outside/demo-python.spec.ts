// Tests `npm run demo:python`: its output, its page in a real browser, and that a client reaches one method and nothing else.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { connect, Netref } from '../../lib/index.js'
import { bundle, errorsOf, launchBrowser, noChromium } from '../support/chromium.js'
import { CHILD_ENV, rejectionOf } from '../support/helpers.js'
import { pythonWith } from '../support/installed-programs.js'

// biome-ignore lint/suspicious/noExplicitAny: a client that tries what it does not know
type Any = any

const python = pythonWith('rpyc', 'numpy')
const skip = python === undefined && 'no Python with rpyc and numpy here (.ci/run installs them)'

t.test('the demo', { skip }, async t => {
  const program = fileURLToPath(new URL('../../demos/gateways/python/main.ts', import.meta.url))
  const args = ['--import', 'tsx', program, '--port', '0', '--python', python!]
  const demo = spawn(process.execPath, args, { env: { ...CHILD_ENV, NO_COLOR: '1' } })
  t.teardown(() => demo.kill('SIGKILL'))
  let output = ''
  let errors = ''
  demo.stdout.setEncoding('utf8').on('data', text => {
    output += text
  })
  demo.stderr.setEncoding('utf8').on('data', text => {
    errors += text
  })
  const ended = once(demo, 'close')
  while (!output.includes('Ctrl-C')) {
    await Promise.race([once(demo.stdout, 'data'), ended])
    if (demo.exitCode !== null) throw new Error(errors)
  }

  t.test('prints what Python returns', async t => {
    const results = [...output.matchAll(/→ (.*)$/gm)].map(([, result]) => result)
    t.match(results[0], /^3\./)
    t.strictSame(results.slice(1, 3), [
      '1267650600228229401496703205376n',
      '[ [ 0.6, -0.2 ], [ -0.2, 0.4 ] ]'
    ])
    t.strictSame(results.slice(4, 6), ['[ 3, 4 ]', '[ 1, 4, 9 ]'])
    t.equal(results.length, 7)
  })

  const [url] = /http:\S+/.exec(output)!

  t.test('offers clients one method', async t => {
    await using conn = connect<Any>(url!.replace('http', 'ws'))
    t.strictSame(await Netref.keys(conn.root), ['fit'])
    for (const coefficient of await conn.root.fit(
      [
        [0, 1],
        [1, 2]
      ],
      1
    ))
      t.ok(Math.abs(coefficient - 1) < 1e-9)
    const refused: unknown[][] = [
      [[[0, 1]], 1],
      [
        [
          [0, 1],
          [1, 2]
        ],
        1.5
      ],
      [
        [
          [0, 1],
          [1, 2]
        ],
        9
      ],
      [
        [
          [0, 'x'],
          [1, 2]
        ],
        1
      ],
      [
        [
          [0, Number.NaN],
          [1, 2]
        ],
        1
      ],
      [Array(1001).fill([0, 1]), 1],
      ['import os', 1],
      [
        [
          [0, 1],
          [1, 2]
        ],
        { toString: 1 }
      ]
    ]
    for (const args of refused)
      t.match(await rejectionOf(conn.root.fit(...args)), { name: /^(?:Range|Type)Error$/ })
    for (const name of ['numpy', '#numpy', 'py', 'eval', '**'])
      t.match(await rejectionOf(conn.root[name]()), { name: 'ExposureError' })
  })

  t.test('its page draws the curve', { skip: noChromium ?? false }, async t => {
    const path = await bundle(t.testdir({}))
    await using browser = await launchBrowser()
    const page = await browser.newPage()
    const faults = errorsOf(page)
    await page.route('**/netref.js', route => route.fulfill({ path, contentType: 'text/javascript' }))
    await page.goto(url!)
    const formula = page.locator('#formula')
    await formula.filter({ hasText: /^-?\d\S*, \S+, \S+$/ }).waitFor()
    const before = await formula.innerText()
    await page.locator('#plane').click({ position: { x: 20, y: 20 } })
    await formula.filter({ hasNotText: before }).waitFor()
    await page.locator('#degree').fill('8')
    await formula.filter({ hasText: 'the degree is an integer below the number of points' }).waitFor()
    t.same(
      faults.filter(fault => !fault.includes('favicon')),
      []
    )
  })

  t.test('ends on a signal, and Python with it', async t => {
    demo.kill('SIGINT')
    const [code] = await ended
    t.equal(code, 0)
    t.equal(errors, '')
  })
})
