// `npm run types:versions`: compiles a program against the packed package, library declarations included, under each
// version of TypeScript that the lock file of this folder names.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CHILD_ENV } from '../support/helpers.js'

const run = promisify(execFile)
const here = fileURLToPath(new URL('./', import.meta.url))
const root = join(here, '../..')
const npmOptions = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']

/** Settings of users' projects: in Node, in CommonJS, in a page, and with the types of both. */
const PROJECTS = {
  node: ['--lib', 'es2022,esnext.disposable', '--types', 'node', 'app.ts'],
  commonjs: ['--lib', 'es2022,esnext.disposable', '--types', 'node', 'app.cts'],
  page: [
    ...['--lib', 'es2022,dom,esnext.disposable', '--module', 'esnext', '--moduleResolution', 'bundler'],
    ...['--exactOptionalPropertyTypes', 'app.ts']
  ],
  both: ['--lib', 'es2022,dom,esnext.disposable', '--types', 'node', '--exactOptionalPropertyTypes', 'app.ts']
}
/** The version does not let CommonJS load ES modules: TypeScript does from 5.8 on. */
const LACKS_COMMONJS = 'typescript-5.4'
const COMMON = [
  '--noEmit',
  '--strict',
  '--skipLibCheck',
  'false',
  '--target',
  'es2022',
  '--module',
  'nodenext'
]

const dir = await mkdtemp(join(tmpdir(), 'netref-typescript-'))
try {
  await run('npm', ['pack', '--pack-destination', dir], { cwd: root })
  const tarball = (await readdir(dir)).find(name => name.endsWith('.tgz'))!
  for (const name of ['package.json', 'package-lock.json', 'app.ts', 'app.cts'])
    await cp(join(here, name), join(dir, name))
  const options = { cwd: dir, env: CHILD_ENV }
  await run('npm', ['ci', ...npmOptions], options)
  await run('npm', ['install', '--no-save', ...npmOptions, `./${tarball}`], options)
  const { dependencies } = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies).filter(name => name.startsWith('typescript-'))) {
    for (const [project, settings] of Object.entries(PROJECTS))
      if (project !== 'commonjs' || name !== LACKS_COMMONJS) await compile(name, project, settings)
  }
} finally {
  await rm(dir, { recursive: true, force: true })
}

async function compile(name: string, project: string, settings: readonly string[]): Promise<void> {
  const began = performance.now()
  const { version } = JSON.parse(await readFile(join(dir, 'node_modules', name, 'package.json'), 'utf8'))
  const tsc = join(dir, 'node_modules', name, 'bin/tsc')
  const types = settings.includes('--types') ? [] : ['--typeRoots', 'none']
  const failure = await run(process.execPath, [tsc, ...COMMON, ...settings, ...types], {
    cwd: dir
  }).then(
    () => undefined,
    error => `${error.stdout}${error.stderr}`
  )
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`${failure === undefined ? 'ok ' : 'NOT OK'}  TypeScript ${version}, ${project}, ${seconds} s`)
  if (failure === undefined) return
  console.log(failure)
  process.exitCode = 1
}
