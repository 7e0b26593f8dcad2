// `npm run size`: what a page loads. It fails where that is more than it may be.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** What it was to become, in bytes of gzip: a page has all of a session, and that takes more. */
const GOAL = 15_000

const file = fileURLToPath(new URL('../../dist/browser.js', import.meta.url))

/** What is left of it in a page of one's own, where a bundler drops what the page does not import. */
async function bundled(source: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents: `${source} from ${JSON.stringify(file)}`, resolveDir: '.' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false
  })
  return outputFiles[0]!.contents
}

const sizes = [
  { what: 'dist/browser.js, all of it', code: readFileSync(file), most: 58_700 },
  { what: 'import { connect }', code: await bundled('export { connect }'), most: 52_900 }
]
for (const { what, code, most } of sizes) {
  const gzip = gzipSync(code, { level: 9 }).length
  const brotli = brotliCompressSync(code).length
  console.log(
    `${what.padEnd(27)} ${code.length} bytes minified, ${gzip} gzip, ${brotli} brotli; at most ${most}`
  )
  if (gzip > most) process.exitCode = 1
}
console.log(`the goal is ${GOAL} of gzip`)
