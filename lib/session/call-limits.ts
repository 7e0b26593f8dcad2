// The limits on the peer's calls that one call can be rejected for.

import { CallRejection } from '../errors.js'
import { type Limits, MAX_BUFFERED_FACTOR } from '../protocol/limits.js'
import { createRateLimiter, type RateLimiter } from '../util/rate-limiter.js'
import type { CallRequest } from './call-request.js'
import type { IncomingCalls } from './incoming-calls.js'

export class CallLimits {
  readonly #rateLimiter: RateLimiter | undefined

  constructor(
    private readonly limits: Limits,
    private readonly calls: IncomingCalls
  ) {
    this.#rateLimiter = createRateLimiter(limits.callsPerSecond)
  }

  /** Most bytes that are held for calls that are not settled. */
  get maxHeldBytes(): number {
    return MAX_BUFFERED_FACTOR * this.limits.bufferedBytes
  }

  get isOverHeldBytes(): boolean {
    return this.calls.heldBytes > this.maxHeldBytes
  }

  /** @returns why a call may not hold more bytes; undefined if it may */
  checkHeldBytes(): CallRejection | undefined {
    if (!this.isOverHeldBytes) return undefined
    return limitRejection(
      `the pending calls hold more than ${this.maxHeldBytes} bytes (limits.bufferedBytes): wait for some of them`
    )
  }

  /** Counts a call. @returns why it is rejected; undefined if it is within the limits */
  check({ id, path }: CallRequest): CallRejection | undefined {
    const { depth, pendingCalls, callsPerSecond } = this.limits
    // A one-way call is in the table already.
    const others = this.calls.size - (id < 0 ? 1 : 0)
    if (path.length > depth)
      return limitRejection(`a path of more than ${depth} names (limits.depth): await a part of it first`)
    if (others >= pendingCalls)
      return limitRejection(`${pendingCalls} calls are pending (limits.pendingCalls): wait for some of them`)
    const overHeldBytes = this.checkHeldBytes()
    if (overHeldBytes) return overHeldBytes
    if (this.#rateLimiter?.tryAcquire() ?? true) return undefined
    return limitRejection(
      `more than ${callsPerSecond} calls in a second (limits.callsPerSecond): call less often`
    )
  }
}

const limitRejection = (message: string) => new CallRejection('limit', message)
