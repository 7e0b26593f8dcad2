// The build for Node: one module for each entry of the package. Modules that several entries import are in shared
// chunks, so that all entries use the same registries and classes.
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'

/** The modules that users load, as paths in lib without `.ts`. */
export const NODE_ENTRIES: readonly string[] = [
  'index',
  'lite',
  'streams',
  'operate',
  'gateway',
  'react',
  'gateways/rpyc',
  'gateways/json-rpc',
  'gateways/xml-rpc',
  'gateways/pyro',
  'gateways/zerorpc',
  'gateways/mcp',
  'gateways/grpc',
  'gateways/go-rpc',
  'adapters/nats',
  'cli/main'
]

/** Packages that users install. Other packages are part of the build: Node takes 15 ms to load the modules of superjson. */
const EXTERNAL_PACKAGES = ['ws', '@opentelemetry/api', 'react']

/**
 * Keeps the code of packages out of the source maps, which name only files of netref's package: the licences stand for the
 * sources of packages.
 */
const unmappedPackages = (licences: string): Plugin => ({
  name: 'packages without source maps',
  setup: build =>
    build.onLoad({ filter: /[/\\]node_modules[/\\].*\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8')
      const map = JSON.stringify({
        version: 3,
        sources: [relative(dirname(path), licences)],
        mappings: 'AAAA'
      })
      const comment = `//# sourceMappingURL=data:application/json;base64,${btoa(map)}`
      return { contents: `${code.replace(/^\/\/# sourceMappingURL=.*$/m, '')}\n${comment}` }
    })
})

/** Builds entries into a folder. @returns esbuild's description of the files it wrote */
export async function buildForNode(folder: string, entries = NODE_ENTRIES): Promise<Metafile> {
  const licences = resolve(folder, 'THIRD-PARTY-LICENSES')
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
    plugins: [unmappedPackages(licences)],
    sourcemap: true,
    // The sources are files of the package.
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning'
  })
  await writeFile(licences, await licencesOf(Object.keys(metafile.inputs)))
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
