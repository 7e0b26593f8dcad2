// Decides which messages of a kept topic are new to a subscriber. They arrive as NATS publishes them, and are read from the
// bucket, each with its number in the stream of the bucket.

export class KeptOrder {
  /** The number of the last message that was published, and of the last new one that was read. */
  #published = 0
  #read = 0
  /** What tells the latest message from another with the same number, of a bucket that was made anew. */
  #latestId: string | undefined

  /** The number of the latest message. */
  get latest(): number {
    return Math.max(this.#published, this.#read)
  }

  /** Whether a message is new that NATS has published just now. */
  isNewPublished(sequence: number, id: string): boolean {
    // Published messages have an order: a lower number is of a bucket that was made anew.
    if (sequence < this.#published) this.#read = 0
    this.#published = sequence
    if (sequence <= this.#read) return false
    this.#latestId = id
    return true
  }

  /**
   * Whether a message is new that was read from the bucket.
   *
   * @param asked what `latest` was when it was asked for
   */
  isNewRead(sequence: number, id: string, asked: number): boolean {
    const isOfNewBucket = sequence < asked || (sequence === this.latest && id !== this.#latestId)
    if (isOfNewBucket) this.#published = 0
    else if (sequence <= this.latest) return false
    this.#read = sequence
    this.#latestId = id
    return true
  }
}
