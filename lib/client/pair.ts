// Defines `pair`, which joins a service and a connection in one process, without a socket.

import { rootFactoryOf, type ServiceSource, sharedRootOf } from '../access/service.js'
import { type IdempotencyOptions, idempotentCallsFactoryOf } from '../session/idempotency.js'
import { COMMON_OPTIONS, type CommonOptions, SERVING_OPTIONS, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { MemoryTransport } from '../transport/memory.js'
import type { Session } from '../types/session.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { Connection, EmptyService } from './connect.js'

/** Options of `pair`: those of the client end, and in `serving` those of the other end. */
export interface PairOptions extends CommonOptions {
  /** The service of the client end. */
  readonly service?: ServiceSource | undefined
  /** The identity of the client; the serving end reads it as `session.identity`. */
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

/**
 * A connection to a service in the same process, which `pair` returns.
 *
 * @example
 * await using joined = pair(Calculator)
 * joined.transports[0].hold() // the calls stay on their way …
 * const sum = joined.root.add(1, 2)
 * joined.transports[0].letGo() // … until now
 * console.log(await sum, joined.served.stats.callsIn) // 3 1
 */
export class Pair<T> extends Connection<T> {
  /** The session of the serving end. */
  readonly served: Session
  /** The transports of both ends. `hold()` holds back the frames that an end sends; `letGo()` delivers them. */
  readonly transports: readonly [client: MemoryTransport, server: MemoryTransport]

  /** @internal */
  constructor(
    source: ServiceSource,
    { identity, serving = {}, service = EmptyService, ...options }: PairOptions
  ) {
    const transports = MemoryTransport.pair()
    const createRoot = rootFactoryOf(source, 'pair')
    const settings = settingsOf(serving, 'pair: `serving`')
    super(transports[0], {
      sharedRoot: sharedRootOf(service),
      createRoot: rootFactoryOf(service, 'pair'),
      ...settingsOf(options, 'pair')
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
 * Joins a service and a connection in this process without a socket, for tests. Messages pass the same codec and the
 * same checks as over a socket.
 *
 * @returns the connection, and in `served` the session of the service
 * @throws TypeError for a value that is no service, and for invalid options
 * @example
 * await using conn = pair(Calculator)
 * assert.equal(await conn.root.add(1, 2), 3)
 */
export function pair<T extends object>(service: ServiceSource<T>, options: PairOptions = {}): Pair<T> {
  checkOptions('pair', options, PAIR_OPTIONS)
  checkOptions('pair: `serving`', options.serving ?? {}, SERVING_OPTIONS)
  return new Pair<T>(service, options)
}
