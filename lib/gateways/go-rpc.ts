// The entry `netref/go-rpc`: lets the clients of Go's net/rpc call a service, and calls servers of Go's net/rpc.

export { connectGoRpc, type GoRpcConnectOptions } from './go-rpc/connect.js'
export type { GoTypeOptions } from './go-rpc/declared-types.js'
export { type GoRpcOptions, goRpc } from './go-rpc/gateway.js'
export type { GoComplex } from './go-rpc/gob/basic-types.js'
export { GoRpcError } from './go-rpc/remote-error.js'
