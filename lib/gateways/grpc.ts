// The entry `netref/grpc`: lets the clients of gRPC call a service, and calls servers of gRPC.

export { connectGrpc, type GrpcConnectOptions } from './grpc/connect.js'
export type { ServiceSelection } from './grpc/definition.js'
export { type GrpcOptions, grpc } from './grpc/gateway.js'
export { GrpcError, type GrpcMetadata } from './grpc/grpc-error.js'
