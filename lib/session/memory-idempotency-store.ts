// Outcomes of calls with a key in memory, for some time: of each identity as much as leaves others as much.

import { LimitError } from '../errors.js'
import { clock } from '../util/clock.js'
import type { ResultStore, StoredResult } from './idempotency-store.js'

interface Entry {
  readonly requestDigest: string
  readonly usage: OwnerUsage
  reply: string | undefined
  expiresAt: number
}

/** What one identity takes up. */
interface OwnerUsage {
  readonly owner: string
  bytes: number
  /** The entries with a reply, the oldest first. */
  readonly withReply: Set<Entry>
}

/** What an entry weighs without its reply, in bytes. */
const ENTRY_BYTES = 512
/** A character of a reply, at most. */
const BYTES_PER_CHAR = 2

/**
 * Results in memory, for some time. No identity takes up more bytes than are free for others; within that, its newer
 * replies take the place of its older ones: of those it is remembered that they began, so that none runs twice.
 *
 * @example
 * const server = await serve(Shop, { authenticate, idempotencyStore: new MemoryIdempotencyStore() })
 */
export class MemoryIdempotencyStore implements ResultStore {
  /** In the order in which they are forgotten. */
  readonly #entries = new Map<string, Entry>()
  readonly #usages = new Map<string, OwnerUsage>()
  #bytes = 0

  constructor(
    /** How long each is kept, in ms. */
    private readonly ttlMs = 300_000,
    /** What all of them take up at most, in bytes. */
    private readonly maxBytes = 64 << 20
  ) {}

  get(name: string): StoredResult | undefined {
    this.#removeExpired()
    return this.#entries.get(name)
  }

  /** @throws LimitError for a call that begins, when its owner has as much as others may still have */
  set(name: string, { requestDigest, reply }: StoredResult, owner: string): void {
    this.#removeExpired()
    const known = this.#entries.get(name)
    const entry = known ?? this.#addEntry(requestDigest, owner)
    // Set anew it is the last in order, as it is kept longest.
    if (known) this.#entries.delete(name)
    entry.expiresAt = clock.now() + this.ttlMs
    this.#entries.set(name, entry)
    this.#dropReply(entry)
    if (reply === undefined || !this.#makeRoom(entry.usage, reply.length * BYTES_PER_CHAR)) return
    entry.reply = reply
    entry.usage.withReply.add(entry)
    this.#addBytes(entry.usage, reply.length * BYTES_PER_CHAR)
  }

  #addEntry(request: string, owner: string): Entry {
    const share = this.#usages.get(owner) ?? { owner, bytes: 0, withReply: new Set() }
    if (!this.#makeRoom(share, ENTRY_BYTES)) {
      throw new LimitError(
        'limit',
        `the calls with a key that are remembered of this client take up ${share.bytes} bytes: wait until some are forgotten`
      )
    }
    this.#usages.set(owner, share)
    this.#addBytes(share, ENTRY_BYTES)
    return { requestDigest: request, usage: share, reply: undefined, expiresAt: 0 }
  }

  /** Whether others have as much left when a share takes so much more; its own oldest replies make room. */
  #makeRoom(share: OwnerUsage, bytes: number): boolean {
    const fits = () => share.bytes + bytes <= this.maxBytes - this.#bytes - bytes
    for (const entry of share.withReply) {
      if (fits()) return true
      this.#dropReply(entry)
    }
    return fits()
  }

  #dropReply(entry: Entry): void {
    const { reply, usage } = entry
    if (reply === undefined) return
    entry.reply = undefined
    usage.withReply.delete(entry)
    this.#addBytes(usage, -reply.length * BYTES_PER_CHAR)
  }

  #addBytes(share: OwnerUsage, bytes: number): void {
    share.bytes += bytes
    this.#bytes += bytes
    if (share.bytes === 0) this.#usages.delete(share.owner)
  }

  #removeExpired(): void {
    const now = clock.now()
    for (const [name, entry] of this.#entries) {
      if (entry.expiresAt > now) return
      this.#entries.delete(name)
      this.#dropReply(entry)
      this.#addBytes(entry.usage, -ENTRY_BYTES)
    }
  }
}
