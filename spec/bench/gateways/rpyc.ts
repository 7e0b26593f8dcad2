// RPyC's client with the gateway of netref, and with RPyC's own server.

import { execFileSync } from 'node:child_process'
import { type Contest, startInPython } from './contest.js'

/** The Python that has RPyC: where a system has several, it is often not the first. */
const python = [process.env.RPYC_PYTHON ?? 'python3', '/usr/bin/python3'].find(name => {
  try {
    execFileSync(name, ['-c', 'import rpyc'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

export const rpycContest: Contest = {
  name: 'RPyC',
  works: [
    { name: 'a kept method', target: 0.75 },
    { name: 'root.f()', target: 0.9 },
    { name: 'a method with a callback', target: 0.75 },
    { name: 'open, method, callback', target: 1 }
  ],
  unavailable: () => !python && 'RPyC is not installed (Debian: python3-rpyc)',
  start: () => startInPython(python!, 'rpyc_server.py', 'rpyc_client.py')
}
