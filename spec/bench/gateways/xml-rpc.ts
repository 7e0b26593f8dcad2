// Python's xmlrpc.client with the gateway of netref, and with Python's own server.

import { pythonWith } from '../../support/installed-programs.js'
import { type Contest, startInPython } from './contest.js'

const python = pythonWith('xmlrpc')

export const xmlRpcContest: Contest = {
  name: 'XML-RPC',
  works: [
    { name: 'a call', target: 1 },
    { name: 'a call with 100 records', target: 1 },
    { name: 'a multicall of 100 calls', target: 0.9 }
  ],
  unavailable: () => !python && 'Python is not installed',
  start: () => startInPython(python!, 'xml_rpc_server.py', 'xml_rpc_client.py')
}
