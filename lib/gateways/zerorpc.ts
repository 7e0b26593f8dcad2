// The entry `netref/zerorpc`: lets the clients of ZeroRPC call a service.

export { type ZeroRpcOptions, zeroRpc } from './zerorpc/gateway.js'
