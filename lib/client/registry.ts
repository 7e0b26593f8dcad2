// What `connect` offers beside a session over one WebSocket. `register.ts` adds it; `netref/lite` does without.
import type { ResumeStrategy } from '../link/resume-strategy.js'
import type { Settings } from '../session/options.js'
import type { Endpoint } from '../transport/endpoint.js'
import type { NetworkEndpoint, TransportOpener } from '../transport/network-endpoint.js'
import type { Transport } from '../transport/transport.js'
import type { Unsubscribe } from '../util/shared-listener.js'
import type { ConnectOptions, ReconnectOptions } from './options.js'
import type { PageConnection } from './page-lifecycle.js'

export interface ConnectExtras {
  /** Opens a transport over an endpoint. @throws TypeError for an endpoint or an option that cannot be used */
  openEndpoint(endpoint: Endpoint, options: ConnectOptions, settings: Settings): Transport
  /** Creates the opener of each session over a network. @throws TypeError for an option that cannot be used */
  openNetworkEndpoint(
    endpoint: NetworkEndpoint,
    options: ConnectOptions,
    settings: Settings
  ): () => TransportOpener
  createReconnector(
    openTransport: TransportOpener,
    heartbeatMs: number,
    options: ReconnectOptions
  ): ResumeStrategy
  /** Follows the life of the page, if this is one. @returns a function that stops following */
  followPage(connection: PageConnection): Unsubscribe
}

let registered: ConnectExtras | undefined

/** Calls of `connect` have these from now on. */
export function registerConnectExtras(extras: ConnectExtras): void {
  registered = extras
}

/** Undefined if only `netref/lite` is imported. */
export const connectExtras = (): ConnectExtras | undefined => registered
