// Go's client of net/rpc with the gateway of netref, and with Go's own server, which is compiled code on all cores.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { installedGo } from '../../support/installed-programs.js'
import { type Contest, startContestants } from './contest.js'

const [go] = installedGo()
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Compiles a program. @returns its file */
function compile(name: string): string {
  const program = here(`../dist/${name}`)
  const env = { ...process.env, GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local' }
  execFileSync(go!.program, ['build', '-o', program, here(`${name}.go`)], { env, stdio: 'inherit' })
  return program
}

export const goRpcContest: Contest = {
  name: "Go's net/rpc",
  works: [
    { name: 'a call', target: 0.5 },
    { name: '100 calls in flight', target: 0.5 },
    { name: 'a call with 100 records', target: 0.1 }
  ],
  unavailable: () => !go && 'Go is not installed (Debian: golang-go)',
  start: () => {
    const client = compile('go_rpc_client')
    return startContestants([compile('go_rpc_server')], port => [client, `127.0.0.1:${port}`])
  }
}
