// JSON-RPC clients of Python with the gateway of netref, and with the server of jsonrpclib-pelix.

import { pythonWith } from '../../support/installed-programs.js'
import { type Contest, startInPython } from './contest.js'

const python = pythonWith('jsonrpclib')

export const jsonRpcContest: Contest = {
  name: 'JSON-RPC',
  works: [
    { name: 'jsonrpclib: add(1, 2)', target: 1 },
    { name: 'http.client: add(1, 2)', target: 1 },
    { name: 'jsonrpclib: a batch of 100', target: 0.9 }
  ],
  unavailable: () => !python && 'jsonrpclib is not installed (Debian: python3-jsonrpclib-pelix)',
  start: () => startInPython(python!, 'json_rpc_server.py', 'json_rpc_client.py')
}
