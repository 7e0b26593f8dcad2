// The error of a call that a server of gRPC ended with another status than OK.

import type { ServiceError } from '@grpc/grpc-js'
import { registerError } from '../../index.js'
import { STATUS_NAMES } from './status.js'

/** Metadata: texts by name, and bytes for names that end with `-bin`. A name that occurs several times has a list. */
export type GrpcMetadata = Readonly<Record<string, string | Uint8Array | readonly (string | Uint8Array)[]>>

/**
 * A server of gRPC ended a call with a status other than OK.
 *
 * @example
 * try {
 *   await conn.root.search('x')
 * } catch (error) {
 *   if (error instanceof GrpcError && error.status === 'NOT_FOUND') console.log('there is none')
 * }
 */
export class GrpcError extends Error {
  /** Name of the class. */
  override name = 'GrpcError'
  /** The status code: 5 for NOT_FOUND. */
  readonly code: number
  /** The name of the status code: NOT_FOUND. */
  readonly status: string
  /** What the server says of it. */
  readonly details: string
  /** The metadata that the server sent at the end of the call. */
  readonly metadata: GrpcMetadata

  constructor(code: number, details: string, metadata: GrpcMetadata = {}) {
    const status = STATUS_NAMES[code] ?? 'UNKNOWN'
    super(details || status)
    this.code = code
    this.status = status
    this.details = details
    this.metadata = metadata
  }
}
registerError(GrpcError, { name: 'netref.GrpcError' })

/** The error for an error of grpc-js. */
export function receivedError({ code, details, metadata }: ServiceError): GrpcError {
  const entries = Object.entries(metadata.toJSON()).map(([name, values]) => [
    name,
    values.length === 1 ? values[0]! : values
  ])
  return new GrpcError(code, details, Object.fromEntries(entries))
}
