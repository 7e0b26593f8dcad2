// What is read of clients that have not said hello. Each may send a little at any time; what is more is one budget of the
// server: while it is used up, they are read from one after the other.

/** Raw bytes that are read before `authenticate` has decided; a token has to fit in. */
export const UNKNOWN_BYTES = 8 << 10

/** One client, from its socket's first byte to its hello. */
export interface Unheard {
  /** Raw bytes that have come. */
  readonly bytes: number
  /** It may be read from again, or may not. */
  govern(): void
}

export class HelloBudget {
  /** Who has sent more than a little, in order. */
  readonly #large = new Set<Unheard>()
  #bytes = 0

  constructor(private readonly most: number) {}

  /** So many bytes more have come. @returns false where there are more than can be kept: whoever sent them is to go */
  add(client: Unheard, bytes: number): boolean {
    this.#bytes += bytes
    const [first = client] = this.#large
    return client.bytes <= UNKNOWN_BYTES || client === first || this.#bytes - first.bytes <= 2 * this.most
  }

  /** Whether a client may be read from now: the first always may, so that each has its turn. */
  allows(client: Unheard): boolean {
    if (client.bytes <= UNKNOWN_BYTES) return true
    this.#large.add(client)
    const [first] = this.#large
    return this.#bytes <= this.most || client === first
  }

  /** It has said hello, or is gone. */
  remove(client: Unheard): void {
    this.#bytes -= client.bytes
    this.#large.delete(client)
    for (const other of this.#large) {
      if (!this.allows(other)) break
      other.govern()
    }
  }
}
