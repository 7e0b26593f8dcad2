// Defines `connectGoRpc`, which connects to a server of Go's net/rpc.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Bridge, connectForeign, FOREIGN_CONNECT_OPTIONS } from '../../client/foreign.js'
import type { Reason } from '../../errors.js'
import type { CommonOptions, Connection } from '../../index.js'
import type { Any } from '../../util/any.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { startDeadline } from '../../util/deadline.js'
import { describeValue, quote } from '../../util/describe.js'
import { isPort, parseHostPort } from '../support/host-port.js'
import { ClientConnection } from './client-connection.js'
import { declareTypes, GO_TYPE_OPTIONS, type GoTypeOptions } from './declared-types.js'
import { CONNECT_REQUEST, HeadReader, isConnected } from './opening.js'
import { RemoteService } from './remote-service.js'
import { SentTypes } from './sent-types.js'

/** Options of `connectGoRpc`. */
export interface GoRpcConnectOptions extends CommonOptions, GoTypeOptions {
  /** Whether the server is one of HTTP, by `rpc.HandleHTTP`, as for Go's `rpc.DialHTTP`. @default false */
  readonly http?: boolean | undefined
}

const { service: _, ...WITHOUT_SERVICE } = FOREIGN_CONNECT_OPTIONS
const OPTIONS: OptionTypes<GoRpcConnectOptions> = {
  ...WITHOUT_SERVICE,
  ...GO_TYPE_OPTIONS,
  http: 'a boolean'
}
const CALL = 'connectGoRpc'

/**
 * Connects to a server of Go's `net/rpc`. `conn.root.ServiceA.Add({ X: 10, Y: 20 })` calls the method `ServiceA.Add`. A call that the
 * server answers with an error rejects with a `GoRpcError`.
 *
 * The server does not tell the type of its arguments. Whole numbers are sent as `int`, others as `float64`, and objects as structs if
 * all their keys begin with a capital letter, else as maps. `types` says what is otherwise.
 *
 * @param address as `host:port`
 * @throws TypeError for an invalid address, and for invalid options
 * @example
 * await using conn = connectGoRpc('localhost:9000', { types: { 'Maths.Half': 'float64' } })
 * console.log(await conn.root.Maths.Half(5)) // 2.5
 */
export function connectGoRpc<T extends object = Any>(
  address: string,
  options: GoRpcConnectOptions = {}
): Connection<T> {
  checkOptions(CALL, options, OPTIONS)
  const { http = false, types, registered, ...common } = options
  const declared = declareTypes({ types, registered }, CALL)
  const { host, port } = parseAddress(address)
  return connectForeign<T>(
    async (bridge, limits) => {
      const socket = await openSocket(connect(port, host), http, bridge, limits.helloMs)
      const onLost = (reason: Reason) => {
        service.end(reason)
        bridge.end(reason)
      }
      const connection = new ClientConnection(socket, new SentTypes(declared, limits), limits, onLost)
      const service = new RemoteService(bridge, connection)
      void bridge.closed.then(reason => service.end(reason))
      return service.methods
    },
    common,
    CALL
  )
}

function parseAddress(address: unknown): { readonly host: string; readonly port: number } {
  const { host, port } = (typeof address === 'string' && parseHostPort(address)) || {}
  if (host !== undefined && isPort(port)) return { host, port }
  const text = typeof address === 'string' ? quote(address) : describeValue(address)
  throw new TypeError(`${CALL}: ${text} is not an address; pass one such as "localhost:9000"`)
}

/** @returns the socket, once the server has accepted it. @throws Error if it does not in time, or the session ends before */
async function openSocket(socket: Socket, http: boolean, bridge: Bridge, helloMs: number): Promise<Socket> {
  const abort = new AbortController()
  const { signal } = abort
  let hint = ''
  const deadline = startDeadline(helloMs, () =>
    abort.abort(new Error(`the server did not answer within ${helloMs} ms (limits.helloMs)${hint}`))
  )
  void bridge.closed.then(() =>
    abort.abort(new Error('the connection was closed before the server answered'))
  )
  try {
    await once(socket.setNoDelay(true), 'connect', { signal })
    if (http) {
      hint = '; not HTTP? leave out `http: true`'
      await askForGob(socket, signal)
    }
    deadline.stop()
    return socket
  } catch (error) {
    deadline.stop()
    socket.on('error', () => {}).destroy()
    throw signal.aborted ? signal.reason : error
  }
}

/** Sends the request of HTTP, and reads the answer to it. */
async function askForGob(socket: Socket, signal: AbortSignal): Promise<void> {
  socket.write(CONNECT_REQUEST)
  const reader = new HeadReader()
  for (;;) {
    await once(socket, 'readable', { signal })
    const chunk: Buffer | null = socket.read()
    if (chunk === null) throw new Error('the server closed the connection')
    const read = reader.read(chunk)
    if (!read) continue
    const [status = ''] = read.head.split(/\r?\n/)
    if (!isConnected(status)) throw new Error(`the server answered ${quote(status)}, and not as Go's net/rpc`)
    socket.unshift(read.rest)
    return
  }
}
