import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { optionTables } from '../../.build/option-tables.js'
import {
  blocksOf,
  blocksOfPages,
  filesOf,
  isGatewayPage,
  isNatsPage,
  PAGES,
  PATHS,
  Programs,
  read,
  root,
  run,
  testBlocks
} from '../support/documentation.js'
import { CHILD_ENV } from '../support/helpers.js'

const readme = read('README.md')
const [server, client, ...ofReadme] = blocksOf(readme)
/** The blocks by the names of their files: those of README, without the first two, and those of the guide. */
const blocks = new Map([
  ...ofReadme.map((code, i) => [`README-${i + 3}`, code] as const),
  ...blocksOfPages(PAGES.filter(page => !isNatsPage(page) && !isGatewayPage(page)))
])

/** The commands of the command line, and their output. */
const commandLine = read('demos/guide/command-line.md')
const sessions = [...commandLine.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, text]) =>
  text!.split(/^\$ /m).slice(1)
)

t.test('the command line behaves as the guide shows', async t => {
  const services = [...commandLine.matchAll(/^```js\n(\/\/ (\w+\.js)\n.*?)^```$/gms)]
  const dir = t.testdir({
    ...Object.fromEntries(services.map(([, text, name]) => [name!, text!])),
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        allowJs: true,
        paths: PATHS
      },
      include: ['*']
    })
  })
  const env = { ...CHILD_ENV, TSX_TSCONFIG_PATH: join(dir, 'tsconfig.json') }
  const netref = `${process.execPath} --import ${import.meta.resolve('tsx')} ${join(root, 'lib/cli/main.ts')}`
  const [, ...program] = netref.split(' ')
  /** Serves a file until the end of the test. @returns the address */
  async function serveFile(file: string): Promise<string> {
    const serving = spawn(process.execPath, [...program, 'serve', file, '--port', '0'], { cwd: dir, env })
    t.teardown(() => serving.kill())
    serving.stderr.pipe(process.stderr)
    const [line] = await once(serving.stdout.setEncoding('utf8'), 'data')
    return /listening at (\S+)/.exec(String(line))![1]!
  }
  let url = ''
  for (const session of sessions) {
    const [, served] = /^npx netref serve (\S+)\nlistening at ws:\/\/127.0.0.1:18861\n$/.exec(session) ?? []
    if (served) {
      url = await serveFile(served)
      continue
    }
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
    const programs = new Programs(t, {
      'server.ts': server!.replace('18861', '0'),
      'client.ts': client!,
      ...filesOf(blocks)
    })
    const compiled = programs.compile()

    const serving = programs.start('server.ts')
    t.teardown(() => serving.kill())
    const [line] = await once(serving.stdout.setEncoding('utf8'), 'data')
    const url = /listening at (\S+)/.exec(String(line))![1]!
    writeFileSync(join(programs.dir, 'client.ts'), client!.replace('ws://localhost:18861', url))
    const { stdout } = await programs.run('client.ts')
    t.equal(stdout, 'Noisy: one\nNoisy: two\nNoisy: three\n3\n')

    await testBlocks(t, programs, blocks)
    t.equal(await compiled, '', 'all of them compile')
  }
)
