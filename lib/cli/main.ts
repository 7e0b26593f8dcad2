#!/usr/bin/env node
/* c8 ignore start: it is the program itself, which specs run in a process of its own. */
import { PACKAGE_VERSION } from '../util/library-copies.js'
import { run } from './cli.js'

const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort())
const { env, execArgv, argv } = process
const terminal = {
  // Node creates a standard stream when it is first read, which takes milliseconds.
  get stdin() {
    return process.stdin
  },
  get stdout() {
    return process.stdout
  },
  get stderr() {
    return process.stderr
  },
  env,
  signal: interruption.signal,
  program: [...execArgv, argv[1]!]
}
process.exitCode = await run(argv.slice(2), terminal, PACKAGE_VERSION)
// An open stdin, or a timer of the service, would keep the process alive.
process.exit()
/* c8 ignore stop */
