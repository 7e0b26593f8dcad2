// Loads the packages of NATS, which users install.
import type * as jetstream from '@nats-io/jetstream'
import type * as kv from '@nats-io/kv'
import type * as transport from '@nats-io/transport-node'
import { loadOptionalPackage } from '../../util/optional-package.js'

/** @throws Error that names the package and the command that installs it */
export const loadTransport = (call: string): typeof transport =>
  loadOptionalPackage('@nats-io/transport-node', call)

/** @throws Error that names the package and the command that installs it */
export const loadJetStream = (call: string): typeof jetstream =>
  loadOptionalPackage('@nats-io/jetstream', call)

/** @throws Error that names the package and the command that installs it */
export const loadKeyValue = (call: string): typeof kv => loadOptionalPackage('@nats-io/kv', call)
