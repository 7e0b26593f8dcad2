// `npm run build:browser`: makes dist/browser.js, the module that pages load.
import { build } from 'esbuild'
import { browserVariants } from './browser-variants.js'

await build({
  entryPoints: ['lib/index.ts'],
  outfile: 'dist/browser.js',
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  plugins: [browserVariants],
  logLevel: 'warning'
})
