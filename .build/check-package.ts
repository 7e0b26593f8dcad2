// `npm run package`: packs netref, and checks the package: publint, Are the types wrong?, and the files that its maps name.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'netref-package-'))
const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'inherit' })
try {
  run('npm', 'pack', '--silent', '--pack-destination', folder)
  const [tarball] = readdirSync(folder)
  const file = join(folder, tarball!)
  run('npx', 'publint', '--strict', file)
  run('npx', 'attw', '--profile', 'esm-only', file)
  run('tar', '-xzf', file, '-C', folder)
  checkMaps(join(folder, 'package'))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Fails if a source map or declaration map names a file that the package does not have. */
function checkMaps(root: string): void {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).map(name => join(root, name))
  const maps = files.filter(name => name.endsWith('.map'))
  const declarations = maps.filter(name => name.endsWith('.d.ts.map'))
  const missing = maps.flatMap(map => {
    const { sources } = JSON.parse(readFileSync(map, 'utf8')) as { sources: string[] }
    return sources
      .filter(source => !files.includes(resolve(map, '..', source)))
      .map(source => `${map.slice(root.length + 1)} names ${source}`)
  })
  if (missing.length > 0 || declarations.length === 0)
    throw new Error(`package: maps name files that the package does not have:\n${missing.join('\n')}`)
  console.log(
    `${maps.length} maps, ${declarations.length} of declarations: the package has every file they name`
  )
}
