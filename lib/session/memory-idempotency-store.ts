// Keeps the outcomes of calls with an idempotency key in memory, for a limited time and with a limit for each identity.

import { LimitError } from '../errors.js'
import { clock } from '../util/clock.js'
import type { IdempotencyRecord, IdempotencyStore } from './idempotency-store.js'

interface Entry {
  readonly requestDigest: string
  readonly usage: OwnerUsage
  reply: string | undefined
  expiresAt: number
}

/** The memory that one identity uses. */
interface OwnerUsage {
  readonly owner: string
  bytes: number
  /** Entries with a reply, oldest first. */
  readonly withReply: Set<Entry>
}

/** Estimated bytes of an entry without its reply. */
const ENTRY_BYTES = 512
/** Maximum bytes of a character of a reply. */
const BYTES_PER_CHAR = 2

/**
 * A store that keeps results in memory, for a limited time. No identity uses more bytes than are free for others. Within
 * that limit, its newer replies replace its older ones. The record of a call's start is not replaced, so none runs twice.
 *
 * @example
 * const server = await serve(Shop, { authenticate, idempotencyStore: new MemoryIdempotencyStore() })
 */
export class MemoryIdempotencyStore implements IdempotencyStore {
  /** Entries by name, in the order in which they expire. */
  readonly #entries = new Map<string, Entry>()
  readonly #usages = new Map<string, OwnerUsage>()
  #bytes = 0

  /**
   * @param ttlMs lifetime of a result, in ms; 300 000 by default
   * @param maxBytes maximum bytes of all results; 64 MiB by default
   */
  constructor(
    private readonly ttlMs = 300_000,
    private readonly maxBytes = 64 << 20
  ) {}

  /** The record of a name, unless it has expired. */
  get(name: string): IdempotencyRecord | undefined {
    this.#removeExpired()
    return this.#entries.get(name)
  }

  /**
   * Keeps a record for the lifetime of the store's results.
   *
   * @throws LimitError for a call that starts, if its owner uses as many bytes as are free for others
   */
  set(name: string, { requestDigest, reply }: IdempotencyRecord, owner: string): void {
    this.#removeExpired()
    const known = this.#entries.get(name)
    const entry = known ?? this.#addEntry(requestDigest, owner)
    // An entry that is set again expires last, so it moves to the end.
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
        `the stored calls of this client take up ${share.bytes} bytes: wait until some expire`
      )
    }
    this.#usages.set(owner, share)
    this.#addBytes(share, ENTRY_BYTES)
    return { requestDigest: request, usage: share, reply: undefined, expiresAt: 0 }
  }

  /**
   * Makes room for `bytes` more of an owner. Its total must not exceed what stays free for others, so its oldest replies
   * are dropped.
   *
   * @returns whether there is room
   */
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
