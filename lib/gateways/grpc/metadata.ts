// The metadata of calls, as headers and as plain data.

import type { IncomingHttpHeaders } from 'node:http'
import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js'
import type { MultiplexedRequest } from '../../server/gateway.js'

/** A call as an HTTP request. Binary values are in base64, as on the wire. */
export function requestOf(
  path: string,
  metadata: Metadata,
  call: ServerInterceptingCallInterface
): MultiplexedRequest {
  const headers: IncomingHttpHeaders = Object.create(null)
  for (const [name, values] of Object.entries(metadata.toJSON())) {
    const texts = values.map(value => (typeof value === 'string' ? value : value.toString('base64')))
    headers[name] = texts.length === 1 ? texts[0]! : texts
  }
  headers.host = call.getHost()
  return { path, headers }
}
