/// <reference lib="esnext.disposable" preserve="true" />
export type { Authenticate, Verdict } from './admission.js'
export { callSession, callSignal } from './call-context.js'
export {
  Connection,
  type ConnectionEvents,
  type ConnectOptions,
  connect,
  Pair,
  type PairOptions,
  pair
} from './connect.js'
export type { Description } from './description.js'
export type { CallEvent, Diagnostics, ReplyEvent } from './diagnostics.js'
export {
  ArgumentsError,
  ExposureError,
  type Issue,
  LimitError,
  MayHaveRunError,
  NetrefError,
  type Reason,
  type ReasonCode,
  ReleasedError,
  SessionEndedError,
  UnsendableError
} from './errors.js'
export { type ExposedOptions, type ExposeOptions, expose, exposed, idempotent } from './expose.js'
export type { ExposureOptions } from './exposure.js'
export type { CannotBeSent } from './kinds.js'
export type { LinkState } from './link.js'
export { Results } from './memory-results.js'
export type { ServerMetrics } from './metrics.js'
export type { CommonOptions, ErrorContext, Limits, LivenessOptions, SocketOptions } from './options.js'
export type { OriginOptions } from './origins.js'
export type { PeerCall } from './policy.js'
export type { ReconnectOptions } from './reconnect.js'
export { Netref } from './reflect.js'
export { registerError, registerType, type TypeOptions } from './registry.js'
export type { ResultStore, StoredResult } from './results.js'
export type { StandardIssue, StandardResult, StandardSchema } from './schema.js'
export { type CloseOptions, type ServeOptions, Server, type ServerEvents, serve } from './serve.js'
export { Service, type ServiceSource } from './service.js'
export { Session, type SessionEvents } from './session.js'
export type { SessionStats, TableEntry, Tables } from './stats.js'
export type { Token } from './token.js'
export type { MemoryTransport } from './transports/memory.js'
export type * from './types.js'
export type { PeerCertificate, UpgradeRequest } from './upgrade-request.js'
