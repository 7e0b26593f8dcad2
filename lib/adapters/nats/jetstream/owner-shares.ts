// Counts what each owner has written within a time, so that none uses up what all share.
import { clock } from '../../../util/clock.js'

/** Writes are counted together in this many parts of the time. */
const PARTS = 8

interface Part {
  readonly endsAt: number
  readonly countByOwner: Map<string, number>
  count: number
}

/** What owners have written, in this process. */
export class OwnerShares {
  readonly #parts: Part[] = []

  /**
   * @param ttlMs how long a write counts
   * @param max number of writes that all share
   */
  constructor(
    private readonly ttlMs: number,
    private readonly max: number
  ) {}

  /** Counts a write, unless its owner would use more than stays free for others. @returns whether it counted it */
  add(owner: string): boolean {
    const now = clock.now()
    while (this.#parts[0] && this.#parts[0].endsAt <= now) this.#parts.shift()
    let [own, all] = [1, 1]
    for (const part of this.#parts) {
      own += part.countByOwner.get(owner) ?? 0
      all += part.count
    }
    if (own > this.max - all) return false
    const part = this.#currentPart(now)
    part.count++
    part.countByOwner.set(owner, (part.countByOwner.get(owner) ?? 0) + 1)
    return true
  }

  /** The part in which writes are counted now. It counts until the last of them have expired. */
  #currentPart(now: number): Part {
    const last = this.#parts.at(-1)
    if (last && last.endsAt - this.ttlMs > now) return last
    const part = { endsAt: now + this.ttlMs + this.ttlMs / PARTS, countByOwner: new Map(), count: 0 }
    this.#parts.push(part)
    return part
  }
}
