#!/usr/bin/env node
/* c8 ignore start: it is the program itself, which specs run in a process of its own. */
import { readFile } from 'node:fs/promises'
import { run } from './cli.js'

const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort())
const { stdin, stdout, stderr, env, execArgv, argv } = process
const terminal = { stdin, stdout, stderr, env, signal: interruption.signal, program: [...execArgv, argv[1]!] }
process.exitCode = await run(argv.slice(2), terminal, version)
// An open stdin, or a timer of the service, would keep the process alive.
process.exit()
/* c8 ignore stop */
