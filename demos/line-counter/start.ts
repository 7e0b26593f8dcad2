// `npm start`: runs the server and the client in separate processes. All use of netref is in those two.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The exit code of a program that a signal ended. */
const INTERRUPTED = 130
const processes: ChildProcess[] = []

function run(program: string, ...args: string[]): ChildProcess {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), args)
  processes.push(child)
  return child
}

const server = run('server.ts', '--port', '0')
server.once('message', url => {
  const client = run('client.ts', '--url', String(url), ...process.argv.slice(2))
  client.once('exit', code => end(code ?? INTERRUPTED))
})
server.once('exit', () => end(1))

/** Exits with the code of the first process that ended. The server exits by itself when this process is gone. */
function end(code: number): void {
  process.exitCode ??= code
  for (const child of processes) child.kill()
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end(INTERRUPTED))
