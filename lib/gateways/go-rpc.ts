// The entry `netref/go-rpc`: lets the clients of Go's net/rpc call a service, and calls servers of Go's net/rpc.

export { type GoRpcOptions, goRpc } from './go-rpc/gateway.js'
