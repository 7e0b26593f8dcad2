// Defines the endpoint of a service on the bus: `connect` finds an instance of it, and `serve` adds one.
import { NetrefError } from '../../../errors.js'
import type {
  AcceptorSetup,
  NetworkEndpoint,
  OpenerSetup,
  TransportAcceptor,
  TransportOpener
} from '../../../transport/network-endpoint.js'
import { checkOptions, type OptionTypes } from '../../../util/check-options.js'
import { describeValue, safeString } from '../../../util/describe.js'
import { findInstances, type ServiceInstance } from '../discovery/find.js'
import { checkServiceFacts, type ServiceFacts } from '../discovery/service-facts.js'
import { checkName, isName } from '../subjects.js'
import { ServiceAcceptor } from './acceptor.js'
import { DiallingTransport } from './dialling-transport.js'
import type { TransportTable } from './transport-table.js'

/** Options of `bus.service`. `serve` uses the facts, and `connect` the others. */
export interface ServiceOptions extends ServiceFacts {
  /** Id of the only instance to connect to. @default any instance */
  readonly instance?: string | undefined
  /**
   * Chooses the instance to connect to, among all that `bus.find` finds. It is called for each new session. If it returns
   * undefined, or throws, the service is unreachable.
   *
   * @default NATS chooses one at random
   * @example
   * bus.service('LineCounter', { pick: found => found.find(({ metadata }) => metadata.zone === 'eu') })
   */
  pick?(
    found: readonly ServiceInstance[]
  ): Pick<ServiceInstance, 'id'> | undefined | PromiseLike<Pick<ServiceInstance, 'id'> | undefined>
}

const SERVICE_OPTIONS: OptionTypes<ServiceOptions> = {
  version: '',
  description: '',
  metadata: '',
  instance: 'a string',
  pick: 'a function'
}

/** A service on the bus, which `bus.service` returns: an endpoint for `connect` and for `serve`. */
export class ServiceEndpoint implements NetworkEndpoint {
  readonly serviceName: string

  /** @internal */
  constructor(
    private readonly table: TransportTable,
    name: string,
    private readonly options: ServiceOptions
  ) {
    this.serviceName = checkName('bus.service', name)
    checkOptions('bus.service', options, SERVICE_OPTIONS)
    checkServiceFacts('bus.service', options)
    const { instance, pick } = options
    if (instance !== undefined) checkName('bus.service: `instance`', instance)
    if (instance !== undefined && pick)
      throw new TypeError('bus.service: `instance` cannot be combined with `pick`; remove one of them')
  }

  /** @internal */
  createOpener({ limits, openMs, renews }: OpenerSetup): TransportOpener {
    const { table, serviceName: name } = this
    /** The instance that the session is with. */
    let pinned: string | undefined
    return resumes =>
      new DiallingTransport(table, limits, {
        name,
        resumes,
        renews,
        openMs,
        chooseInstance: () => (resumes ? pinned : this.#chooseInstance()),
        onAnswer: ({ id }) => {
          pinned = id
        }
      })
  }

  async #chooseInstance(): Promise<string | undefined> {
    const { instance, pick } = this.options
    if (!pick) return instance
    const found = await findInstances(this.table.connection, this.serviceName)
    const picked = await Promise.resolve(found)
      .then(pick)
      .catch(cause => {
        throw new NetrefError('unreachable', `\`pick\` failed: ${safeString(cause)}`, { cause })
      })
    if (isName(picked?.id)) return picked.id
    if (picked !== undefined)
      throw new TypeError(
        `\`pick\` returned ${describeValue(picked)}; return one of the instances, or undefined`
      )
    throw new NetrefError('unreachable', `\`pick\` chose none of ${found.length} instances`)
  }

  /** @internal */
  createAcceptor(setup: AcceptorSetup): TransportAcceptor {
    return new ServiceAcceptor(this.table, this.serviceName, this.options, setup)
  }
}
