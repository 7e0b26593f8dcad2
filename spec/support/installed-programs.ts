// Programs of the system that some specs need: where one is missing they are skipped, and say why.
import { spawnSync } from 'node:child_process'

/** Why a spec that needs these programs is skipped; false when they are all there. */
export function skipUnlessInstalled(...programs: string[]): string | false {
  const missing = programs.filter(program => spawnSync(program, ['-v']).error)
  /* c8 ignore next: of the two only one is so on one machine. */
  return missing.length > 0 && `not installed here: ${missing.join(', ')} (.ci/run installs them)`
}
