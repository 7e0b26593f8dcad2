// Stores the calls of `queue.call` as jobs.
import { encodeBytes } from '../../../codec/data-bytes.js'
import { ExposureError, LimitError } from '../../../errors.js'
import { pair, Service } from '../../../index.js'
import { Op } from '../../../protocol/messages.js'
import { ForeignPeer, type ForeignRequest } from '../../../remote/foreign.js'
import { createHeaders, HEADER_BYTES, toJobId } from './job.js'
import type { QueueStorage } from './queue-storage.js'

class NoService extends Service {}

/** The peer of `queue.call`, which stores what it is asked for. */
export class Producer extends ForeignPeer<undefined> {
  /** The netref whose calls are stored. */
  readonly calls: object

  constructor(private readonly storage: QueueStorage) {
    const { connection } = storage.jetstream
    const { session } = pair(NoService, { onError: error => connection.report(error) })
    super(session)
    this.calls = this.rootNetref(undefined, storage.name)
  }

  /* c8 ignore next 2: the root is not released. */
  protected onReleased(): void {}

  protected perform({
    op,
    path,
    operand,
    label,
    signal,
    idempotencyKey
  }: ForeignRequest<undefined>): unknown {
    if ((op !== Op.call && op !== Op.oneway) || path.length === 0)
      throw new ExposureError('not-callable', `${label}: a queue stores calls of methods, and has no members`)
    if (path.some(name => typeof name === 'symbol'))
      throw new ExposureError('not-exposed', `${label}: a symbol cannot be stored`)
    const args = encodeBytes(label, 'args', operand)
    return this.#store(
      label,
      JSON.stringify(path),
      args,
      toJobId(idempotencyKey ?? crypto.randomUUID()),
      signal
    )
  }

  #store(
    label: string,
    path: string,
    args: Uint8Array,
    id: string,
    signal: AbortSignal | undefined
  ): Promise<void> {
    const { storage } = this
    const store = async (signal: AbortSignal) => {
      await storage.open(signal)
      const maxBytes = storage.jetstream.connection.maxPayloadBytes - HEADER_BYTES
      if (args.byteLength > maxBytes) {
        const text = `${label}: args takes ${args.byteLength} bytes, and a job has at most ${maxBytes} (max_payload of NATS, less ${HEADER_BYTES}): store large data elsewhere, and send its name`
        throw new LimitError('limit', text)
      }
      const full = `the queue ${storage.name} is full (maxJobs)`
      await storage.publish(label, storage.jobSubject, args, createHeaders(id, path), full, signal)
    }
    return storage.inTime(label, store, signal)
  }
}
