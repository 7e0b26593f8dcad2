// The build for Node: one module for each entry of the package. Modules that several entries import are in shared
// chunks, so that all entries use the same registries and classes.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'

/** The modules that users load, as paths in lib without `.ts`. */
export const NODE_ENTRIES: readonly string[] = ['index', 'lite', 'streams', 'operate', 'react', 'cli/main']

/** Packages that users install. Other packages are part of the build: Node takes 15 ms to load the modules of superjson. */
const EXTERNAL_PACKAGES = ['ws', '@opentelemetry/api', 'react']

/**
 * Ignores the source maps of packages: superjson's names sources that it does not contain, and tools that read the map of
 * netref would warn.
 */
const withoutPackageMaps: Plugin = {
  name: 'without the source maps of packages',
  setup: build =>
    build.onLoad({ filter: /[/\\]node_modules[/\\].*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(/^\/\/# sourceMappingURL=.*$/m, '')
    }))
}

/** Builds entries into a folder. @returns esbuild's description of the files it wrote */
export async function buildForNode(folder: string, entries = NODE_ENTRIES): Promise<Metafile> {
  const { metafile } = await build({
    entryPoints: entries.map(entry => `lib/${entry}.ts`),
    outbase: 'lib',
    outdir: folder,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: EXTERNAL_PACKAGES,
    plugins: [withoutPackageMaps],
    sourcemap: true,
    metafile: true,
    logLevel: 'warning'
  })
  await writeFile(join(folder, 'THIRD-PARTY-LICENSES'), await licencesOf(Object.keys(metafile.inputs)))
  return metafile
}

/** The licences of the packages that have these files. */
async function licencesOf(files: readonly string[]): Promise<string> {
  const folders = new Set(files.flatMap(file => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []))
  const licences = [...folders].map(
    async folder =>
      `${folder.slice('node_modules/'.length)}\n\n${await readFile(`${folder}/LICENSE`, 'utf8')}`
  )
  return (await Promise.all(licences)).join('\n')
}
