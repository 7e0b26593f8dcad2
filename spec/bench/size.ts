// `npm run size`: what a page loads, superjson included. It fails where that is more than it may be.
import { readFileSync } from 'node:fs'
import { brotliCompressSync, gzipSync } from 'node:zlib'

/** What it is to become, and what it may not exceed until then, in bytes of gzip. */
const GOAL = 15_000
const MOST = 45_000

const file = new URL('../../dist/browser.js', import.meta.url)
const code = readFileSync(file)
const gzip = gzipSync(code, { level: 9 }).length
console.log(
  `dist/browser.js  ${code.length} bytes minified, ${gzip} gzip, ${brotliCompressSync(code).length} brotli`
)
console.log(`the goal is ${GOAL}, the most it may be ${MOST}`)
if (gzip > MOST) process.exitCode = 1
