// The entry `netref/json-rpc`: lets the clients of JSON-RPC call a service, and calls servers of JSON-RPC.

export { connectJsonRpc, type JsonRpcConnectOptions } from './json-rpc/connect.js'
export { type JsonRpcOptions, jsonRpc } from './json-rpc/gateway.js'
export {
  describeByOpenRpc,
  type OpenRpcContent,
  type OpenRpcDocument,
  type OpenRpcMethod
} from './json-rpc/open-rpc.js'
export { JsonRpcError } from './json-rpc/remote-error.js'
