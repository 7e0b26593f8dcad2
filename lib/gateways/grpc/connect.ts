// Defines `connectGrpc`, which connects to a server of gRPC.

import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ChannelCredentials, Metadata } from '@grpc/grpc-js'
import { connectForeign, FOREIGN_CONNECT_OPTIONS } from '../../client/foreign.js'
import type { CommonOptions, Connection } from '../../index.js'
import type { Any } from '../../util/any.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { describeValue, quote } from '../../util/describe.js'
import { checkSelection, readRpcs, type ServiceSelection } from './definition.js'
import type { GrpcMetadata } from './grpc-error.js'
import { type Grpc, loadGrpc } from './packages.js'
import { GrpcPeer } from './peer.js'

/** Options of `connectGrpc`. */
export interface GrpcConnectOptions extends CommonOptions, ServiceSelection {
  /** The server: `localhost:50051`, or another target of gRPC, such as `dns:///example.com:50051` or `unix:/run/s.sock`. */
  readonly address: string
  /** Metadata of all calls. Names that end with `-bin` have bytes. @default none */
  readonly metadata?: GrpcMetadata | undefined
  /**
   * Whether to connect by TLS; or the options of `tls.createSecureContext`, such as `ca` for a certificate authority of
   * one's own, and `key` and `cert` for a client certificate.
   *
   * @default false
   */
  readonly tls?: boolean | SecureContextOptions | undefined
}

const { service: _, ...WITHOUT_SERVICE } = FOREIGN_CONNECT_OPTIONS
const GRPC_CONNECT_OPTIONS: OptionTypes<GrpcConnectOptions> = {
  ...WITHOUT_SERVICE,
  service: '',
  includeDirs: '',
  address: 'a string',
  metadata: 'an object',
  tls: ''
}

/**
 * Connects to a server of gRPC. The root has the methods of the service: `conn.root.add({ x: 1, y: 2 })` sends a message, and
 * resolves with the message of the answer. Streams are iterators: the only argument of a method that takes one, and the result
 * of a method that returns one. A call that ends with another status than OK rejects with a `GrpcError`. `timeout` and `signal`
 * cancel calls.
 *
 * @param file path of the .proto file
 * @throws TypeError for an invalid option, and for a service that the file does not have
 * @throws Error for a file that cannot be read, and if `@grpc/grpc-js` or `@grpc/proto-loader` is not installed
 * @example
 * await using conn = connectGrpc('tutorial.proto', { service: 'tutorial.Tutorial', address: 'localhost:50051' })
 * console.log(await conn.root.sum({ x: 1, y: 2 })) // { value: 3 }
 */
export function connectGrpc<T extends object = Any>(
  file: string,
  options: GrpcConnectOptions
): Connection<T> {
  const call = 'connectGrpc'
  checkSelection(call, options)
  checkOptions(call, options, GRPC_CONNECT_OPTIONS)
  const { service, includeDirs, address, metadata = {}, tls = false, ...common } = options
  const rpcs = readRpcs(file, { service, includeDirs }, call)
  const [scheme] = /^(?:http|ws)s?:(?:\/\/)?/i.exec(address) ?? []
  if (!address || scheme !== undefined)
    throw new TypeError(
      `${call}: ${describeValue(address)} is not an address: ${scheme ? `leave out ${quote(scheme)}` : 'pass "localhost:50051"'}`
    )
  const grpc = loadGrpc(call)
  const credentials = credentialsOf(grpc, tls)
  const sent = metadataOf(grpc, metadata)
  return connectForeign<T>(
    async (bridge, limits) => {
      const client = new grpc.Client(address, credentials, {
        'grpc.max_receive_message_length': limits.frameBytes,
        'grpc.max_send_message_length': -1
      })
      return new GrpcPeer(bridge, rpcs, { client, metadata: sent, limits }).methods
    },
    common,
    call
  )
}

function credentialsOf({ credentials }: Grpc, tls: boolean | SecureContextOptions): ChannelCredentials {
  if (tls === false) return credentials.createInsecure()
  return tls === true
    ? credentials.createSsl()
    : credentials.createFromSecureContext(createSecureContext(tls))
}

/** @throws TypeError for metadata that cannot be sent */
function metadataOf({ Metadata }: Grpc, entries: GrpcMetadata): Metadata {
  const metadata = new Metadata()
  for (const [name, values] of Object.entries(entries))
    for (const value of [values].flat() as (string | Uint8Array)[])
      try {
        metadata.add(name, typeof value === 'string' ? value : Buffer.from(value))
      } catch (cause) {
        throw new TypeError(`connectGrpc: metadata.${name}: ${(cause as Error).message}`, { cause })
      }
  return metadata
}
