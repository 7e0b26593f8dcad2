// The entry `netref/gateway`: the types for gateways of one's own.
export type {
  Gateway,
  GatewayClient,
  GatewayConnection,
  GatewayOptions,
  GatewayRequests,
  MultiplexedRequest
} from './server/gateway.js'
