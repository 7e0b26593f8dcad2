// Endpoints on a network: a session over one outlives its transports, as a session over WebSockets does.
import type { Limits } from '../protocol/limits.js'
import type { ReportError } from '../util/emitter.js'
import type { CountedTransport, Transport } from './transport.js'

/**
 * A service on a network, such as `bus.service(…)` of `netref/nats`. `connect` finds an instance of it there, and `serve`
 * adds one.
 */
export interface NetworkEndpoint {
  /** Name of the service. */
  readonly serviceName: string
  /** @internal */
  createOpener(setup: OpenerSetup): TransportOpener
  /** @internal */
  createAcceptor(setup: AcceptorSetup): TransportAcceptor
}

/** Whether an endpoint is on a network. */
export const isNetworkEndpoint = (endpoint: object): endpoint is NetworkEndpoint => 'createOpener' in endpoint

export interface OpenerSetup {
  readonly limits: Limits
  /** Time within which a transport must be open, in ms. */
  readonly openMs: number
  /** Whether another session replaces one that is lost. */
  readonly renews: boolean
}

/**
 * Opens the transports of one session, one after the other. `resumes` says that a transport is to resume the session, which
 * only the same instance can. If that instance is gone for good, the transport must close with `session-lost`.
 */
export type TransportOpener = (resumes: boolean) => Transport

export interface AcceptorSetup {
  readonly limits: Limits
  /** Counters of the server, for those who look at the instance. */
  readonly metrics: () => object
}

/** A transport that a client has opened, and that is not accepted yet. */
export interface AcceptedTransport extends CountedTransport {
  /**
   * What the network calls the process of the client: the limits of an address hold for it, and its interrupted sessions keep
   * their slots for it.
   */
  readonly clientProcess: string
  /** Whether it is closed. */
  readonly destroyed: boolean
  /** Calls `listener` when it closes. */
  once(event: 'close', listener: () => void): unknown
}

/** Accepts the transports of the clients of one instance. */
export interface TransportAcceptor {
  /** Address of the instance, for people. */
  readonly url: string
  /** Accepts transports from now on. Called once. */
  open(onTransport: (transport: AcceptedTransport) => void, report: ReportError): Promise<void>
  /** New clients choose another instance from now on; sessions can still be resumed. */
  leave(): void
  /** Accepts no more transports. */
  close(): Promise<void>
}
