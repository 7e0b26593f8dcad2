// An esbuild plugin: where `x.ts` has a sibling `x.browser.ts`, a build for browsers takes the sibling.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'esbuild'

export const browserVariants: Plugin = {
  name: 'browser variants',
  setup: build =>
    build.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
      const variant = join(resolveDir, path.replace(/\.js$/, '.browser.ts'))
      return existsSync(variant) ? { path: variant } : undefined
    })
}
