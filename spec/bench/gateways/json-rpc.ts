// JSON-RPC clients of Python with the gateway of netref, and with the server of jsonrpclib-pelix.

import { fileURLToPath } from 'node:url'
import { pythonWith } from '../../support/installed-programs.js'
import { type Contest, inProgram, LineProgram } from './contest.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const python = pythonWith('jsonrpclib')

export const jsonRpcContest: Contest = {
  name: 'JSON-RPC',
  works: [
    { name: 'jsonrpclib: add(1, 2)', target: 1 },
    { name: 'http.client: add(1, 2)', target: 1 },
    { name: 'jsonrpclib: a batch of 100', target: 1 }
  ],
  unavailable: () => !python && 'jsonrpclib is not installed (Debian: python3-jsonrpclib-pelix)',
  start: async () => {
    const servers = [
      new LineProgram(process.execPath, ['--import', 'tsx', here('./netref-server.ts')]),
      new LineProgram(python!, [here('./json_rpc_server.py')])
    ]
    const ports = await Promise.all(servers.map(server => server.readLine()))
    const [netref, other] = ports.map(port => new LineProgram(python!, [here('./json_rpc_client.py'), port]))
    const stop = () => void Promise.all([netref!, other!, ...servers].map(program => program.stop()))
    return { netref: inProgram(netref!), other: inProgram(other!), stop }
  }
}
