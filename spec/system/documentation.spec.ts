import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { optionTables } from '../../.build/option-tables.js'
import { CHILD_ENV } from '../support/helpers.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const blocksOf = (text: string) => [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!)

const readme = read('README.md')
const PAGES = readdirSync(join(root, 'demos/guide')).sort()
/** The blocks by the names of their files: those of README, without the first two, and those of the guide. */
const [server, client, ...ofReadme] = blocksOf(readme)
const blocks = new Map(ofReadme.map((code, i) => [`README-${i + 3}`, code]))
for (const page of PAGES)
  for (const [i, code] of blocksOf(read(`demos/guide/${page}`)).entries())
    blocks.set(`${page.replace(/\.md$/, '')}-${i + 1}`, code)

/** The output that a block declares: `console.log(…) // → text`. */
const promised = (code: string) => [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text)

/** The commands of the command line, and their output. */
const commandLine = read('demos/guide/command-line.md')
const sessions = [...commandLine.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, text]) =>
  text!.split(/^\$ /m).slice(1)
)

t.test('the command line behaves as the guide shows', async t => {
  const [, service] = /^```js\n(\/\/ calculator\.js\n.*?)^```$/ms.exec(commandLine)!
  const dir = t.testdir({
    'calculator.js': service!,
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        allowJs: true,
        paths: {
          netref: [join(root, 'lib/index.ts')],
          'netref/*': [join(root, 'lib/*.ts'), join(root, 'lib/gateways/*.ts')]
        }
      },
      include: ['*']
    })
  })
  const env = { ...CHILD_ENV, TSX_TSCONFIG_PATH: join(dir, 'tsconfig.json') }
  const netref = `${process.execPath} --import ${import.meta.resolve('tsx')} ${join(root, 'lib/cli/main.ts')}`
  const [serve, ...others] = sessions
  t.equal(serve, 'npx netref serve calculator.js\nlistening at ws://127.0.0.1:18861\n')
  const [, ...program] = netref.split(' ')
  const serving = spawn(process.execPath, [...program, 'serve', 'calculator.js', '--port', '0'], {
    cwd: dir,
    env
  })
  t.teardown(() => serving.kill())
  serving.stderr.pipe(process.stderr)
  const [line] = await once(serving.stdout.setEncoding('utf8'), 'data')
  const url = /listening at (\S+)/.exec(String(line))![1]!
  for (const session of others) {
    const [command, ...said] = session.replaceAll('ws://localhost:18861', url).split('\n')
    const shell = `${command!.replace('npx netref', netref)} 2>&1`
    const { stdout } = await run('sh', ['-c', shell], { cwd: dir, env }).catch(error => error)
    t.equal(stdout, said.join('\n'), command)
  }
})

t.test('README stays short', t => {
  t.ok(readme.split('\n').length <= 250, 'at most 250 lines')
  t.ok(Buffer.byteLength(readme) <= 12_000, 'at most 12 kB')
  t.end()
})

/** The anchor that GitHub gives to a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

t.test('every link between the pages leads to a file and a heading, and README lists each page', t => {
  const guide = PAGES.map(page => `demos/guide/${page}`)
  const pages = [
    'README.md',
    'demos/README.md',
    'lib/README.md',
    '.github/CONTRIBUTING.md',
    '.github/SECURITY.md',
    ...guide
  ]
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path, anchor] = target!.split('#')
      const file = path === '' ? page : join(dirname(page), path!)
      const text = existsSync(join(root, file)) ? (anchor === undefined ? '' : read(file)) : undefined
      const anchors = [...(text ?? '').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!))
      t.ok(text !== undefined && (anchor === undefined || anchors.includes(anchor)), `${page}: ${target}`)
    }
  }
  for (const page of guide) t.ok(readme.includes(`(${page})`), `README lists ${page}`)
  t.end()
})

t.test('the page of options is made from the docstrings', async t => {
  t.equal(read('demos/guide/options.md'), optionTables(), 'if it differs, run `npm run guide:options`')
})

t.test('the blocks about tools are those of the files that `npm run ecosystem` runs', async t => {
  const page = read('demos/guide/tools.md')
  const blocks = [...page.matchAll(/^([^\n]*)\n\n```(\w+)\n(.*?)^```$/gms)]
  t.equal(blocks.length, page.match(/^```\w/gm)?.length)
  for (const [, before, language, code] of blocks) {
    const [, file] = /\]\(\.\.\/\.\.\/(spec\/ecosystem\/[^)]+)\):$/.exec(before!) ?? []
    if (!t.ok(file, `${before} names a file`)) continue
    if (language !== 'sh') {
      t.ok(read(file!).includes(code!), `${file} has the block`)
      continue
    }
    const scripts: string[] = Object.values(JSON.parse(read(file!)).scripts)
    for (const line of code!.trim().split('\n'))
      t.ok(scripts.includes(line.replace(/^npx /, '')), `${file} has the command ${line}`)
  }
})

t.test(
  'every block of README and of the guide compiles, runs, and prints the output that it states',
  async t => {
    const files: Record<string, string> = { 'server.ts': server!.replace('18861', '0'), 'client.ts': client! }
    for (const [name, code] of blocks) files[`${name}.ts`] = code
    const fixture = (name: string) =>
      readFileSync(join(root, 'spec/support/fixtures', `localhost.${name}.pem`))
    const dir = t.testdir({
      ...files,
      // Runs them in sequence in one process: it ends only if none leaves anything open.
      'all.ts': [...blocks.keys()]
        .map(name => `console.log('── ${name}')\nawait import('./${name}.js')\n`)
        .join(''),
      'key.pem': fixture('key'),
      'cert.pem': fixture('cert'),
      'tsconfig.json': JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          paths: {
            netref: [join(root, 'lib/index.ts')],
            'netref/*': [join(root, 'lib/*.ts'), join(root, 'lib/gateways/*.ts')]
          }
        },
        files: Object.keys(files),
        include: []
      })
    })
    const options = { cwd: root, env: { ...CHILD_ENV, TSX_TSCONFIG_PATH: join(dir, 'tsconfig.json') } }
    const tsx = (file: string) => [
      '--disable-warning=ExperimentalWarning',
      '--import',
      'tsx',
      join(dir, file)
    ]
    const compiled = run(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '-p', dir],
      options
    )

    const serving = spawn(process.execPath, tsx('server.ts'), options)
    t.teardown(() => serving.kill())
    const [line] = await once(serving.stdout.setEncoding('utf8'), 'data')
    const url = /listening at (\S+)/.exec(String(line))![1]!
    writeFileSync(join(dir, 'client.ts'), client!.replace('ws://localhost:18861', url))
    const { stdout } = await run(process.execPath, tsx('client.ts'), options)
    t.equal(stdout, 'Noisy: one\nNoisy: two\nNoisy: three\n3\n')

    const { stdout: printed, stderr } = await run(process.execPath, tsx('all.ts'), options)
    const outputs = printed.split(/^── .*\n/m).slice(1)
    for (const [i, [name, code]] of [...blocks].entries()) {
      t.same(outputs[i]!.split('\n').slice(0, -1), promised(code), `${name} prints the output that it states`)
    }
    t.equal(stderr, '')
    const errors = await compiled.catch(error => error)
    t.equal(errors.stdout, '', 'all of them compile')
  }
)
