// `npm run build:browser [-- FILE]`: builds dist/browser.js, which is all of netref for pages without a bundler, and
// dist/browser/ for bundlers. With FILE it builds the former only, as FILE.
import { rm } from 'node:fs/promises'
import { buildOneFile } from './one-file.js'
import { buildForBundlers } from './page-build.js'

const [, , file] = process.argv
await buildOneFile(file ?? 'dist/browser.js')
if (file === undefined) {
  // The names of the chunks change with their contents.
  await rm('dist/browser', { recursive: true, force: true })
  await buildForBundlers('dist/browser')
}
