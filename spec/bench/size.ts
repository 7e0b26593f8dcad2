// `npm run size`: what pages load, in bytes of gzip. It fails where that is more than it may be.
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { minifyFurther } from '../../.build/one-file.js'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
const INDEX = JSON.stringify(`${dist}browser/index.js`)
const LITE = JSON.stringify(`${dist}browser/lite.js`)
const STREAMS = JSON.stringify(`${dist}browser/streams.js`)

/** One module of a page, as a bundler and terser make it: without what the page does not import. */
async function bundled(source: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: '.' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false
  })
  const { code } = await minifyFurther(outputFiles[0]!.text)
  return code!
}

/** What a page imports, and what that may weigh. The guide states the figures (pages.md); the aim is 38 kB for `netref`, 28 for lite. */
const SIZES: readonly (readonly [what: string, source: string, most: number])[] = [
  ['netref, all exports', `export * from ${INDEX}`, 68_900],
  ['netref, connect', `export { connect } from ${INDEX}`, 58_550],
  ['netref/lite, all exports', `export * from ${LITE}`, 54_600],
  ['netref/lite, connect', `export { connect } from ${LITE}`, 49_250],
  ['netref/lite + streams, connect', `import ${STREAMS}; export { connect } from ${LITE}`, 55_980]
]

for (const [what, source, most] of SIZES) {
  const code = await bundled(source)
  const gzip = gzipSync(code, { level: 9 }).length
  const brotli = brotliCompressSync(code).length
  console.log(
    `${what.padEnd(31)} ${code.length} bytes minified, ${gzip} gzip, ${brotli} brotli; at most ${most}`
  )
  if (gzip > most) process.exitCode = 1
}
