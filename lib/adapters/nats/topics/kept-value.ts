// The latest value of a topic, kept in a key-value bucket of NATS. What is stored there NATS publishes to the topic.
import type { JetStreamClient, StoredMsg } from '@nats-io/jetstream'
import type { MsgHdrs } from '@nats-io/transport-node'
import { NetrefError } from '../../../errors.js'
import type { BusConnection } from '../bus-connection.js'
import { loadJetStream, loadKeyValue } from '../packages.js'
import { topicBucket, topicSubject } from '../subjects.js'

const CALL = 'bus.topic'

export class KeptValue {
  /** The stream that NATS has for the bucket. */
  readonly stream: string
  readonly #bucket: string
  readonly #storedAs: string
  readonly #publishedAs: string
  #creation: Promise<void> | undefined

  /** @throws Error if a package of NATS is not installed */
  constructor(
    private readonly bus: BusConnection,
    name: string
  ) {
    loadJetStream(CALL)
    loadKeyValue(CALL)
    this.#bucket = topicBucket(name)
    this.stream = `KV_${this.#bucket}`
    this.#storedAs = `$KV.${this.#bucket}.latest`
    this.#publishedAs = topicSubject(name)
  }

  /** Stores a value, and so publishes it. Resolves when NATS has stored it. The bucket is created if there is none. */
  async publish(bytes: Uint8Array, headers: MsgHdrs): Promise<void> {
    const client = await this.#client()
    await this.#ensureBucket(client)
    try {
      await client.publish(this.#storedAs, bytes, { headers })
    } catch (error) {
      // Nobody has stored it: the bucket was removed.
      if ((error as Error).name !== 'JetStreamNotEnabled') throw error
      this.#creation = undefined
      await this.#ensureBucket(client)
      await client.publish(this.#storedAs, bytes, { headers })
    }
  }

  /** The latest message, from the leader of the stream; undefined if there is none. */
  async read(): Promise<StoredMsg | undefined> {
    const manager = await (await this.#client()).jetstreamManager(false)
    try {
      return (await manager.streams.getMessage(this.stream, { last_by_subj: this.#storedAs })) ?? undefined
    } catch (error) {
      if ((error as Error).name === 'StreamNotFoundError') return undefined
      throw error
    }
  }

  async #client(): Promise<JetStreamClient> {
    return loadJetStream(CALL).jetstream(await this.bus.open())
  }

  #ensureBucket(client: JetStreamClient): Promise<void> {
    this.#creation ??= this.#createBucket(client).catch(error => {
      this.#creation = undefined
      throw error
    })
    return this.#creation
  }

  /** @throws NetrefError `unavailable` for a bucket that does not publish to the topic */
  async #createBucket(client: JetStreamClient): Promise<void> {
    const republish = { src: this.#storedAs, dest: this.#publishedAs }
    const bucket = await new (loadKeyValue(CALL).Kvm)(client).create(this.#bucket, { history: 1, republish })
    const { republish: existing } = await bucket.status()
    if (existing.src === republish.src && existing.dest === republish.dest) return
    throw new NetrefError(
      'unavailable',
      `topic.publish: the bucket ${this.#bucket} does not republish to ${republish.dest}; remove it`
    )
  }
}
