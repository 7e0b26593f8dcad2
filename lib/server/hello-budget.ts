// Limits the bytes that a server reads from clients before their hello. Each client may send a fixed allowance. Bytes
// beyond it share one budget; while the budget is used up, the server reads from one such client at a time.

/** Bytes read from a client before `authenticate` has decided; a token must fit. */
export const UNBUDGETED_BYTES = 8 << 10

/** A client whose hello has not arrived. */
export interface PreHelloClient {
  /** Bytes received on the socket. */
  readonly preHelloBytes: number
  /** Pauses or resumes reading, as the budget allows. */
  updateReading(): void
}

export class HelloBudget {
  /** Clients that have sent more than their allowance, oldest first. */
  readonly #budgetedClients = new Set<PreHelloClient>()
  #bytesReceived = 0

  constructor(private readonly budgetBytes: number) {}

  /** Counts received bytes. @returns false if they exceed twice the budget: the client must be disconnected */
  addBytes(client: PreHelloClient, bytes: number): boolean {
    this.#bytesReceived += bytes
    const [first = client] = this.#budgetedClients
    return (
      client.preHelloBytes <= UNBUDGETED_BYTES ||
      client === first ||
      this.#bytesReceived - first.preHelloBytes <= 2 * this.budgetBytes
    )
  }

  /**
   * Whether the server may read from a client now. It always may read from the oldest, so that each gets its turn.
   */
  mayRead(client: PreHelloClient): boolean {
    if (client.preHelloBytes <= UNBUDGETED_BYTES) return true
    this.#budgetedClients.add(client)
    const [first] = this.#budgetedClients
    return this.#bytesReceived <= this.budgetBytes || client === first
  }

  /** Removes a client whose hello has arrived, or whose socket has closed. */
  remove(client: PreHelloClient): void {
    this.#bytesReceived -= client.preHelloBytes
    this.#budgetedClients.delete(client)
    for (const other of this.#budgetedClients) {
      if (!this.mayRead(other)) break
      other.updateReading()
    }
  }
}
