// Builds the modules that bundlers load for pages, with the browser variants.
import { type BuildOptions, build } from 'esbuild'
import { browserVariants } from './browser-variants.js'

/** What all builds for pages have in common. */
export const PAGE: BuildOptions = {
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  plugins: [browserVariants],
  logLevel: 'warning'
}

/** The modules that pages load, as paths in lib without `.ts`. */
const PAGE_ENTRIES = ['index', 'lite', 'streams', 'react']

/**
 * Builds the modules that bundlers load. What several of them import is in chunks beside them, so all share it. Bundlers
 * minify them again.
 */
export async function buildForBundlers(outdir: string): Promise<void> {
  const entryPoints = Object.fromEntries(PAGE_ENTRIES.map(entry => [entry, `lib/${entry}.ts`]))
  // Maps without a copy of the sources: the package has them.
  await build({ ...PAGE, entryPoints, outdir, splitting: true, sourcesContent: false, external: ['react'] })
}
