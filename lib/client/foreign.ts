// Defines `connectForeign`, the base of connections to servers of other systems.

import { rootFactoryOf, type ServiceSource, sharedRootOf } from '../access/service.js'
import type { Reason } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import { COMMON_OPTIONS, type CommonOptions, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { MemoryTransport } from '../transport/memory.js'
import type { Session } from '../types/session.js'
import type { OptionTypes } from '../util/check-options.js'
import { Connection, EmptyService } from './connect.js'

/** Options of a connection to a server of another system. */
export interface ForeignConnectOptions extends CommonOptions {
  /** The service of this side, if the other system can call it. @default a service without members */
  readonly service?: ServiceSource | undefined
}

/** For the option tables of connections. */
export const FOREIGN_CONNECT_OPTIONS: OptionTypes<ForeignConnectOptions> = { ...COMMON_OPTIONS, service: '' }

/** The session between a connection and a server of another system: its peer is the user of the connection. */
export interface Bridge extends Session {
  /** Ends the session, and so the connection, for the first reason given. */
  end(reason: Reason): void
}

/**
 * Connects to a server of another system. The connection is one to a session in this process, the bridge, whose root is the
 * foreign root. So chains, callbacks, options and errors are those of every connection. Calls made before `open` has
 * settled wait for it.
 *
 * @param open connects, and returns the netref of the foreign root. The connection must end with the bridge, and the bridge
 * with the connection. `limits` are those of the options
 * @param call the function that takes the options, for error texts
 */
export function connectForeign<T>(
  open: (bridge: Bridge, limits: Limits) => Promise<object>,
  { service = EmptyService, ...options }: ForeignConnectOptions,
  call: string
): Connection<T> {
  const settings = settingsOf(options, call)
  const transports = MemoryTransport.pair()
  transports[0].hold()
  const connection = new Connection<T>(transports[0], {
    sharedRoot: sharedRootOf(service),
    createRoot: rootFactoryOf(service, call),
    ...settings
  })
  let root: object | undefined
  const bridge = new SessionImpl(transports[1], {
    isInitiator: false,
    createRoot: () => root!,
    // What the user's options say of the peer is said of the foreign system: the connection applies it.
    ...settingsOf({ limits: options.limits, onError: options.onError }, call)
  })
  const start = () => {
    bridge.start()
    transports[0].letGo()
  }
  void connection.closed.then(reason => bridge.end(reason))
  open(bridge, settings.limits).then(
    opened => {
      root = opened
      start()
    },
    cause => {
      start()
      bridge.end({ code: 'unreachable', message: `${call}: ${(cause as Error).message}`, cause })
    }
  )
  return connection
}
