// The entry `netref/grpc`: lets the clients of gRPC call a service, and calls servers of gRPC.

export { type GrpcOptions, grpc } from './grpc/gateway.js'
