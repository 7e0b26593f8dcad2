// Finds the programs that some specs need; those specs are skipped without them.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Why a spec that needs these programs is skipped; false if all are installed. */
export function skipUnlessInstalled(...programs: string[]): string | false {
  const missing = programs.filter(program => spawnSync(program, ['-v']).error)
  /* c8 ignore next: of the two only one is so on one machine. */
  return missing.length > 0 && `not installed here: ${missing.join(', ')} (.ci/run installs them)`
}

/* c8 ignore start: specs without coverage use it. */
/** The Python of the environment for ZeroRPC, which `.ci/run` makes. */
export const ZERORPC_PYTHON = fileURLToPath(
  new URL('../../node_modules/.cache/zerorpc/bin/python', import.meta.url)
)

/** A Python that has these modules: Debian's, the first of the path, or that for ZeroRPC. Undefined if none has them. */
export const pythonWith = (...modules: string[]): string | undefined =>
  ['/usr/bin/python3', 'python3', ZERORPC_PYTHON].find(
    python => spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0
  )

/** The `go` of each version that is installed: those of the path, and those of Debian. */
export function installedGo(): { readonly program: string; readonly version: string }[] {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...debianGo()]
  const versions = new Map<string, string>()
  for (const folder of folders) {
    const program = join(folder, 'go')
    const [version] =
      /go\d[\d.]*/.exec(spawnSync(program, ['version'], { encoding: 'utf8' }).stdout ?? '') ?? []
    if (version && !versions.has(version)) versions.set(version, program)
  }
  return [...versions].map(([version, program]) => ({ program, version }))
}

function debianGo(): string[] {
  try {
    return readdirSync('/usr/lib')
      .filter(name => name.startsWith('go-'))
      .map(name => `/usr/lib/${name}/bin`)
  } catch {
    return []
  }
}
/* c8 ignore stop */
