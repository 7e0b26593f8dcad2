// Serves the calls of a connection by a server of grpc-js, which has no port: each connection has one of its own.

import type { Duplex } from 'node:stream'
import type {
  ServerInterceptingCallInterface,
  ServerInterceptor,
  ServiceDefinition,
  UntypedServiceImplementation
} from '@grpc/grpc-js'
import type { GatewayConnection } from '../../server/gateway.js'
import type { CallServer } from './call-server.js'
import { IncomingCall } from './incoming-call.js'
import { requestOf } from './metadata.js'
import type { Grpc } from './packages.js'
import { statusOf } from './status.js'
import { UnreadMessages } from './unread-messages.js'

/** A service that grpc-js serves by itself, such as reflection. */
export interface BuiltInService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

/** Streams that a connection may have at a time. Clients wait before they open more. */
const MAX_STREAMS = 1000
/** After this time without a call a connection ends. Clients open another one when they need it. In ms. */
const IDLE_MS = 300_000

/** Serves a connection until it ends. */
export function serveConnection(
  grpc: Grpc,
  socket: Duplex,
  connection: GatewayConnection,
  calls: CallServer,
  builtInServices: readonly BuiltInService[]
): void {
  const { limits } = connection
  const unread = new UnreadMessages(socket, limits)
  const takeCalls: ServerInterceptor = ({ path }, call) =>
    new grpc.ServerInterceptingCall(call, {
      start: next => {
        // The call does not go on to the handler: it is served by its messages, one by one.
        if (calls.has(path))
          new IncomingCall(call, path, unread, (call, request) => calls.serve(call, request, connection))
        else next(admission(call, path, connection))
      }
    })
  const server = new grpc.Server({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': limits.frameBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc.max_connection_idle_ms': IDLE_MS,
    // A client that reads nothing does not answer, nor does one that has broken the protocol: Node keeps its socket.
    'grpc.keepalive_time_ms': limits.helloMs,
    'grpc.keepalive_timeout_ms': limits.pauseMs,
    interceptors: [takeCalls]
  })
  for (const path of calls.paths) server.register(path, unused, identity, identity, 'bidi')
  for (const { definition, implementation } of builtInServices) server.addService(definition, implementation)
  server.createConnectionInjector(grpc.ServerCredentials.createInsecure()).injectConnection(socket)
  connection.onLeaving(() => server.tryShutdown(unused))
}

/** Identifies the client of a built-in service before its messages are read. */
function admission(call: ServerInterceptingCallInterface, path: string, connection: GatewayConnection) {
  let onEnd = unused
  const ended = new Promise<void>(resolve => (onEnd = resolve))
  return {
    onReceiveMetadata(metadata: Parameters<typeof requestOf>[1], proceed: (metadata: never) => void) {
      connection
        .serveRequest(requestOf(path, metadata, call), async client => {
          await client.openSession()
          proceed(metadata as never)
          await ended
        })
        .catch(error => call.sendStatus(statusOf(error, false)))
    },
    onCancel: onEnd
  }
}

const identity = (bytes: Buffer) => bytes
const unused = () => {}
