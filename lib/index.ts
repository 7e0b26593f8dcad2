/// <reference lib="esnext.disposable" preserve="true" />

import './client/register.js'
import './remote/streams/register.js'

export { Pair, type PairOptions, pair } from './client/pair.js'
export * from './lite.js'
export type { Authenticate, AuthenticateResult } from './server/authentication.js'
export type { AnyGateway, HttpListenerOptions, ServeOptions } from './server/options.js'
export type { OriginOptions } from './server/origin-check.js'
export type { Refusal } from './server/refusals.js'
export { type CloseOptions, Server, type ServerEvents, serve } from './server/serve.js'
export type { PeerCertificate, UpgradeRequest } from './server/upgrade-request.js'
export type { IdempotencyOptions } from './session/idempotency.js'
export type {
  IdempotencyRecord,
  IdempotencyStore
} from './session/idempotency-store.js'
export { MemoryIdempotencyStore } from './session/memory-idempotency-store.js'
export type { GatewayMetrics, ServerMetrics } from './session/metrics.js'
export type { PortsEndpoint, ServedEndpoint } from './transport/endpoint.js'
export type { MemoryTransport } from './transport/memory.js'
