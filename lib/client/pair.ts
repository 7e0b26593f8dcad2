// `pair`: a service and a connection to it in one process, without a socket.

import { rootFactoryOf, type ServiceSource, sharedRootOf } from '../access/service.js'
import { type IdempotencyOptions, idempotentCallsFactoryOf } from '../session/idempotency.js'
import { COMMON_OPTIONS, type CommonOptions, SERVING_OPTIONS, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { MemoryTransport } from '../transport/memory.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { Connection, EmptyService } from './connect.js'

export interface PairOptions extends CommonOptions {
  /** What the client end offers. */
  readonly service?: ServiceSource | undefined
  /** Who the client is, for the serving end: `session.identity`. */
  readonly identity?: unknown
  /** Options of the serving end. */
  readonly serving?: (CommonOptions & IdempotencyOptions) | undefined
}

const PAIR_OPTIONS: OptionTypes<PairOptions> = {
  ...COMMON_OPTIONS,
  service: '',
  identity: '',
  serving: ''
}

/** A connection to a service in the same process. */
export class Pair<T> extends Connection<T> {
  /** The serving end of the session. */
  readonly served: SessionImpl
  /** The client's end of the transport, and the server's: `hold()` keeps back what that end sends, `letGo()` lets it go. */
  readonly transports: readonly [client: MemoryTransport, server: MemoryTransport]

  /** @internal */
  constructor(
    source: ServiceSource,
    { identity, serving = {}, service = EmptyService, ...options }: PairOptions
  ) {
    const transports = MemoryTransport.pair()
    const createRoot = rootFactoryOf(source)
    const settings = settingsOf(serving)
    super(transports[0], {
      sharedRoot: sharedRootOf(service),
      createRoot: rootFactoryOf(service),
      ...settingsOf(options)
    })
    this.served = new SessionImpl(transports[1], {
      isInitiator: false,
      identity,
      createRoot,
      idempotentCallsFactory: idempotentCallsFactoryOf(serving),
      ...settings
    }).start()
    this.transports = transports
  }
}

/**
 * A service and a connection to it, both in this process and without a socket, for tests of your own. All that is sent
 * goes through the same codec and the same checks as on a socket.
 *
 * @example
 * await using conn = pair(Calculator)
 * assert.equal(await conn.root.add(1, 2), 3)
 */
export function pair<T extends object>(service: ServiceSource<T>, options: PairOptions = {}): Pair<T> {
  checkOptions('pair', options, PAIR_OPTIONS)
  checkOptions('pair: `serving`', options.serving ?? {}, SERVING_OPTIONS)
  return new Pair<T>(service, options)
}
