// Builds modules for pages: esbuild bundles them with the browser variants, and terser minifies them further.
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { build } from 'esbuild'
import { minify } from 'terser'
import { browserVariants } from './browser-variants.js'

/** @param entryPoints the sources by the name of the built module */
export async function buildForPages(entryPoints: Record<string, string>, outdir: string): Promise<void> {
  const { outputFiles } = await build({
    entryPoints,
    outdir,
    bundle: true,
    // terser alone does not shorten private names.
    minify: true,
    sourcemap: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    plugins: [browserVariants],
    logLevel: 'warning',
    write: false
  })
  const texts = new Map(outputFiles.map(({ path, text }) => [path, text]))
  for (const [path, text] of texts) {
    if (path.endsWith('.map')) continue
    const { code, map } = await minify(text, {
      module: true,
      ecma: 2020,
      compress: { passes: 2 },
      sourceMap: { includeSources: true, content: texts.get(`${path}.map`)!, url: `${basename(path)}.map` }
    })
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, code!)
    await writeFile(`${path}.map`, String(map))
  }
}
