// Outcomes of calls with a key in memory, for some time: of each identity as much as leaves others as much.

import { LimitError } from '../errors.js'
import { clock } from '../util/clock.js'
import type { ResultStore, StoredResult } from './idempotency-store.js'

interface Entry {
  readonly request: string
  readonly share: Share
  reply: string | undefined
  until: number
}

/** What one identity takes up. */
interface Share {
  readonly owner: string
  bytes: number
  /** The entries with a reply, the oldest first. */
  readonly replied: Set<Entry>
}

/** What an entry weighs without its reply, in bytes. */
const ENTRY = 512
/** A character of a reply, at most. */
const CHARACTER = 2

/**
 * Results in memory, for some time. No identity takes up more bytes than are free for others; within that, its newer
 * replies take the place of its older ones: of those it is remembered that they began, so that none runs twice.
 *
 * @example
 * const server = await serve(Shop, { authenticate, results: new Results() })
 */
export class Results implements ResultStore {
  /** In the order in which they are forgotten. */
  readonly #entries = new Map<string, Entry>()
  readonly #shares = new Map<string, Share>()
  #bytes = 0

  constructor(
    /** How long each is kept, in ms. */
    private readonly keep = 300_000,
    /** What all of them take up at most, in bytes. */
    private readonly most = 64 << 20
  ) {}

  get(name: string): StoredResult | undefined {
    this.#forget()
    return this.#entries.get(name)
  }

  /** @throws LimitError for a call that begins, when its owner has as much as others may still have */
  set(name: string, { request, reply }: StoredResult, owner: string): void {
    this.#forget()
    const known = this.#entries.get(name)
    const entry = known ?? this.#begin(request, owner)
    // Set anew it is the last in order, as it is kept longest.
    if (known) this.#entries.delete(name)
    entry.until = clock.now() + this.keep
    this.#entries.set(name, entry)
    this.#unreply(entry)
    if (reply === undefined || !this.#hasRoom(entry.share, reply.length * CHARACTER)) return
    entry.reply = reply
    entry.share.replied.add(entry)
    this.#take(entry.share, reply.length * CHARACTER)
  }

  #begin(request: string, owner: string): Entry {
    const share = this.#shares.get(owner) ?? { owner, bytes: 0, replied: new Set() }
    if (!this.#hasRoom(share, ENTRY)) {
      throw new LimitError(
        'limit',
        `the calls with a key that are remembered of this client take up ${share.bytes} bytes: wait until some are forgotten`
      )
    }
    this.#shares.set(owner, share)
    this.#take(share, ENTRY)
    return { request, share, reply: undefined, until: 0 }
  }

  /** Whether others have as much left when a share takes so much more; its own oldest replies make room. */
  #hasRoom(share: Share, bytes: number): boolean {
    const fits = () => share.bytes + bytes <= this.most - this.#bytes - bytes
    for (const entry of share.replied) {
      if (fits()) return true
      this.#unreply(entry)
    }
    return fits()
  }

  #unreply(entry: Entry): void {
    const { reply, share } = entry
    if (reply === undefined) return
    entry.reply = undefined
    share.replied.delete(entry)
    this.#take(share, -reply.length * CHARACTER)
  }

  #take(share: Share, bytes: number): void {
    share.bytes += bytes
    this.#bytes += bytes
    if (share.bytes === 0) this.#shares.delete(share.owner)
  }

  #forget(): void {
    const now = clock.now()
    for (const [name, entry] of this.#entries) {
      if (entry.until > now) return
      this.#entries.delete(name)
      this.#unreply(entry)
      this.#take(entry.share, -ENTRY)
    }
  }
}
