// Reports refused clients to the operator of a server, each cause once: browsers hide the cause from the page.

import { NetrefError } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import type { ReportError } from '../util/emitter.js'

const MAX_REPORTED_ORIGINS = 100

export class RefusalReports {
  readonly #limits = new Set<keyof Limits>()
  readonly #origins = new Set<string>()
  readonly #unidentified = new Set<string>()

  constructor(
    private readonly report: ReportError,
    private readonly limits: Limits
  ) {}

  /** Reports a refusal by origin or host. */
  origin(refusal: string): void {
    if (this.#origins.has(refusal) || this.#origins.size === MAX_REPORTED_ORIGINS) return
    this.#origins.add(refusal)
    const message = `serve: a client was refused: ${refusal}; add it there to accept it`
    this.report(new NetrefError('unauthorized', message))
  }

  /** Reports an address that has reached its limit; behind a proxy all clients have one address. */
  addressLimit(address: string): void {
    const hint = 'behind a proxy set trustProxy to distinguish its clients'
    this.#limit('sessionsPerAddress', `too many clients come from ${address}`, hint)
  }

  sessionLimit(): void {
    this.#limit('sessions', `all ${this.limits.sessions} sessions are in use`, 'raise it to accept more')
  }

  /** Reports clients of a gateway whose protocol does not tell who they are. */
  unidentified(gateway: string): void {
    if (this.#unidentified.has(gateway)) return
    this.#unidentified.add(gateway)
    const message = `serve: clients of "${gateway}" were refused: they cannot show \`authenticate\` who they are; give the gateway an \`authenticate\` of its own`
    this.report(new NetrefError('unauthorized', message))
  }

  slowAuthentication(): void {
    const cause = `\`authenticate\` did not settle within ${this.limits.helloMs} ms`
    this.#limit('helloMs', cause, 'raise it, or make authenticate faster')
  }

  #limit(limit: keyof Limits, cause: string, hint: string): void {
    if (this.#limits.has(limit)) return
    this.#limits.add(limit)
    this.report(new NetrefError('limit', `serve: a client was refused: ${cause} (limits.${limit}); ${hint}`))
  }
}
