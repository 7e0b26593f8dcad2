// `npm run build:browser [-- FILE]`: builds the module that pages load, as dist/browser.js or FILE.
import { basename, dirname } from 'node:path'
import { buildForPages } from './page-build.js'

const file = process.argv[2] ?? 'dist/browser.js'
await buildForPages({ [basename(file, '.js')]: 'lib/index.ts' }, dirname(file))
