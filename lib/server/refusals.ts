// The clients that a server did not accept: counts them, and emits an event for each, or for many.

import type { Reason } from '../errors.js'
import { ReportWindow } from '../util/report-window.js'

/** A client that the server did not accept, or several clients of one address. */
export interface Refusal extends Pick<Reason, 'code' | 'message'> {
  /**
   * IP address of the client; with `trustProxy`, the one that the proxy states. Undefined if it is unknown, and for many
   * addresses.
   */
  readonly address: string | undefined
  /** The error of `authenticate`. */
  readonly cause?: unknown
  /** Number of refusals: 1, or those of one address and code in ten seconds, without the first. */
  readonly count: number
}

/** Refuses a client that may try again at once: another server behind the same address may accept it. */
export const GOING_AWAY: Reason = { code: 'unavailable', message: 'the server is going away' }

/** Addresses and codes that have events of their own in ten seconds. */
const MAX_KINDS = 100
const OTHERS = 'others'

export class Refusals {
  count = 0
  readonly #window = new ReportWindow<Refusal>((count, last) => this.emit({ ...last, count }))

  constructor(private readonly emit: (refusal: Refusal) => void) {}

  add(address: string | undefined, { code, message, cause }: Reason): void {
    this.count++
    const kind = `${code} ${address}`
    const isOther = !this.#window.has(kind) && this.#window.size >= MAX_KINDS
    const refusal = { address, code, message, ...(cause === undefined ? {} : { cause }), count: 1 }
    const last = isOther ? { ...refusal, address: undefined } : refusal
    if (this.#window.isFirst(isOther ? OTHERS : kind, () => last)) this.emit(refusal)
  }

  /** Emits what was counted so far. */
  flush(): void {
    this.#window.flush()
  }
}
