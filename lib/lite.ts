// The entry `netref/lite`: a client with calls, callbacks, references and errors, for pages that must be small.
/// <reference lib="esnext.disposable" preserve="true" />

export type { ExposureOptions } from './access/access-control.js'
export { callSession, callSignal } from './access/call-context.js'
export { type ExposeOptions, expose } from './access/expose.js'
export { exposed } from './access/exposed.js'
export type { ExposedOptions } from './access/exposed-members.js'
export { exposes, type MemberOptions } from './access/exposes.js'
export { Listeners, type ListenersOptions, type Subscription } from './access/listeners.js'
export type { Before, PeerCall } from './access/peer-call.js'
export { type Rights, restrict, unrestricted } from './access/restrict.js'
export { Service, type ServiceSource } from './access/service.js'
export { Connection, type ConnectionEvents, connect } from './client/connect.js'
export type { ConnectOptions, ReconnectOptions, SocketOptions } from './client/options.js'
export { registerError, registerType, type TypeOptions } from './codec/registry.js'
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
export type { Limits } from './protocol/limits.js'
export type { Trace } from './protocol/trace.js'
export type { CallOptions } from './remote/call-options.js'
export { Netref } from './remote/netref.js'
export type { CallErrorContext, OnCallError } from './session/call-errors.js'
export type { CallEvent, Diagnostics, ReplyEvent } from './session/diagnostics.js'
export type { CommonOptions, LivenessOptions } from './session/options.js'
export type { ByteEndpoint, Endpoint, MessageEndpoint } from './transport/endpoint.js'
export type { NetworkEndpoint } from './transport/network-endpoint.js'
export type { Token } from './transport/token.js'
export type { Description } from './types/description.js'
export type { JsonSchema } from './types/json-schema.js'
export type {
  DataOnly,
  Exposed,
  ExposedKey,
  ExposedMember,
  NetrefBrand,
  Obtained,
  Pending,
  Received,
  Registered,
  RemoteHandle,
  RemotePath,
  Sendable,
  TargetOf,
  Unserializable
} from './types/netref.js'
export type {
  ErrorContext,
  PeerInstance,
  Session,
  SessionCloseOptions,
  SessionEvents,
  SessionState,
  SessionStats,
  TableEntry,
  Tables
} from './types/session.js'
export type { StandardIssue, StandardResult, StandardSchema } from './types/standard-schema.js'
