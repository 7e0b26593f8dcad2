// Runs the programs and blocks of README and of the guide.
import { execFile, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { CHILD_ENV } from './helpers.js'

export const run = promisify(execFile)
export const root = fileURLToPath(new URL('../..', import.meta.url))
export const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** The pages of the guide. The blocks of those about NATS need a nats-server, and gateways have a test command of their own. */
export const PAGES = readdirSync(join(root, 'demos/guide')).sort()
export const isNatsPage = (page: string) => /^nats\b/.test(page)
export const isGatewayPage = (page: string) => /^gateway-/.test(page)

export const blocksOf = (text: string) => [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!)

/** The blocks of these pages, by the names of their files. */
export const blocksOfPages = (pages: readonly string[]): [name: string, code: string][] =>
  pages.flatMap(page =>
    blocksOf(read(`demos/guide/${page}`)).map((code, i): [string, string] => [
      `${page.replace(/\.md$/, '')}-${i + 1}`,
      code
    ])
  )

/** What a tsconfig.json has so that programs import netref from `lib/`. */
export const PATHS = {
  netref: [join(root, 'lib/index.ts')],
  'netref/*': [join(root, 'lib/*.ts'), join(root, 'lib/gateways/*.ts'), join(root, 'lib/adapters/*.ts')]
}

/** Programs of the documentation, in a directory of their own. */
export class Programs {
  readonly dir: string
  readonly #options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }

  constructor(t: Test, files: Record<string, string>) {
    const fixture = (name: string) =>
      readFileSync(join(root, 'spec/support/fixtures', `localhost.${name}.pem`))
    this.dir = t.testdir({
      ...files,
      'key.pem': fixture('key'),
      'cert.pem': fixture('cert'),
      'tutorial.proto': readFileSync(join(root, 'demos/gateways/tutorial.proto')),
      'tsconfig.json': JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: { paths: PATHS },
        files: Object.keys(files),
        include: []
      })
    })
    this.#options = { cwd: root, env: { ...CHILD_ENV, TSX_TSCONFIG_PATH: join(this.dir, 'tsconfig.json') } }
  }

  /** Compiles all of them. @returns what the compiler prints: nothing */
  async compile(): Promise<string> {
    const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', this.dir]
    return (await run(process.execPath, tsc, this.#options).catch(error => error)).stdout
  }

  run(file: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
    return run(process.execPath, this.#arguments(file), this.#options)
  }

  start(file: string) {
    return spawn(process.execPath, this.#arguments(file), this.#options)
  }

  #arguments(file: string): string[] {
    return ['--disable-warning=ExperimentalWarning', '--import', 'tsx', join(this.dir, file)]
  }
}

/** The output that a block declares: `console.log(…) // → text`. */
const promised = (code: string) => [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text)

const ALL_BLOCKS = 'all.ts'

/** The files of blocks, and a program that runs them in sequence in one process: it ends only if none leaves anything open. */
export const filesOf = (blocks: ReadonlyMap<string, string>): Record<string, string> => ({
  ...Object.fromEntries([...blocks].map(([name, code]) => [`${name}.ts`, code])),
  [ALL_BLOCKS]: [...blocks.keys()]
    .map(name => `console.log('── ${name}')\nawait import('./${name}.js')\n`)
    .join('')
})

/** Asserts that each block prints the output that it states, and nothing else. */
export async function testBlocks(
  t: Test,
  programs: Programs,
  blocks: ReadonlyMap<string, string>
): Promise<void> {
  const { stdout, stderr } = await programs.run(ALL_BLOCKS)
  const outputs = stdout.split(/^── .*\n/m).slice(1)
  for (const [i, [name, code]] of [...blocks].entries())
    t.same(outputs[i]!.split('\n').slice(0, -1), promised(code), `${name} prints the output that it states`)
  t.equal(stderr, '')
}
