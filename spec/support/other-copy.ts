// Loads another copy of netref in this process, with classes and registries of its own.
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type * as netref from '../../lib/index.js'

/** @param file where the copy is written */
export async function loadOtherCopy(file: string): Promise<typeof netref> {
  await build({
    entryPoints: ['lib/index.ts'],
    bundle: true,
    outfile: file,
    format: 'esm',
    platform: 'node',
    external: ['ws', 'superjson']
  })
  return import(pathToFileURL(file).href)
}
