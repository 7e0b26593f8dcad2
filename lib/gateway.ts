// The entry `netref/gateway`: the types for gateways of one's own.
export type { Gateway, GatewayClient, GatewayOptions, GatewayRequests } from './server/gateway.js'
