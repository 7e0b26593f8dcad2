// `npm run build:browser [-- FILE]`: builds the module that pages load, as dist/browser.js or FILE.
import { build } from 'esbuild'
import { browserVariants } from './browser-variants.js'

await build({
  entryPoints: ['lib/index.ts'],
  outfile: process.argv[2] ?? 'dist/browser.js',
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  plugins: [browserVariants],
  logLevel: 'warning'
})
