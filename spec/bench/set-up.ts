// Prepares what the benchmark's processes run: the peers, and the contestants with netref as its package is built.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Installs the libraries that netref is measured against, unless they are there. */
export function installPeers(): void {
  if (existsSync(here('node_modules/capnweb'))) return
  console.log('installing the peers of the benchmark into spec/bench/node_modules')
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: here('.'),
    stdio: 'inherit'
  })
}

/** Compiles the contestants and netref into spec/bench/dist. */
export function compile(): void {
  execFileSync(process.execPath, [here('../../node_modules/typescript/bin/tsc'), '-p', here('.')], {
    stdio: 'inherit'
  })
}
