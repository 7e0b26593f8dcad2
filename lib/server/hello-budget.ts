// What is read of clients that have not said hello. Each may send a little at any time; what is more is one budget of the
// server: while it is used up, they are read from one after the other.

/** Raw bytes that are read before `authenticate` has decided; a token has to fit in. */
export const UNBUDGETED_BYTES = 8 << 10

/** One client, from its socket's first byte to its hello. */
export interface PreHelloClient {
  /** Raw bytes that have come. */
  readonly preHelloBytes: number
  /** It may be read from again, or may not. */
  updateReading(): void
}

export class HelloBudget {
  /** Who has sent more than a little, in order. */
  readonly #budgetedClients = new Set<PreHelloClient>()
  #bytesReceived = 0

  constructor(private readonly budgetBytes: number) {}

  /** So many bytes more have come. @returns false where there are more than can be kept: whoever sent them is to go */
  addBytes(client: PreHelloClient, bytes: number): boolean {
    this.#bytesReceived += bytes
    const [first = client] = this.#budgetedClients
    return (
      client.preHelloBytes <= UNBUDGETED_BYTES ||
      client === first ||
      this.#bytesReceived - first.preHelloBytes <= 2 * this.budgetBytes
    )
  }

  /** Whether a client may be read from now: the first always may, so that each has its turn. */
  mayRead(client: PreHelloClient): boolean {
    if (client.preHelloBytes <= UNBUDGETED_BYTES) return true
    this.#budgetedClients.add(client)
    const [first] = this.#budgetedClients
    return this.#bytesReceived <= this.budgetBytes || client === first
  }

  /** It has said hello, or is gone. */
  remove(client: PreHelloClient): void {
    this.#bytesReceived -= client.preHelloBytes
    this.#budgetedClients.delete(client)
    for (const other of this.#budgetedClients) {
      if (!this.mayRead(other)) break
      other.updateReading()
    }
  }
}
