// A nats-server for the demo, at a free port of this machine. It ends with the process that has forked this program.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { endWithParent, tellParent } from './parent.js'

// Ctrl-C of a terminal reaches all processes of its group. This one and nats-server end after the others.
const server = spawn('nats-server', ['-a', '127.0.0.1', '-p', '-1'], {
  stdio: ['ignore', 'ignore', 'pipe'],
  detached: true
})
process.on('SIGINT', () => {})
endWithParent(() => server.kill())

createInterface(server.stderr).on('line', line => {
  const [, port] = /Listening for client connections on \S+:(\d+)/.exec(line) ?? []
  if (port) tellParent({ url: `nats://127.0.0.1:${port}`, pid: server.pid })
})
