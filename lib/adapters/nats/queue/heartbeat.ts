// The heartbeat of a worker: the record of a job changes while its method runs.
import { NetrefError } from '../../../errors.js'
import { clock } from '../../../util/clock.js'
import type { JobRecords, RunningRecord } from './job-records.js'
import type { QueueStorage } from './queue-storage.js'

/** Number of heartbeats of a worker within `ackWait`. */
export const HEARTBEATS_PER_ACK_WAIT = 3

/** The error of a worker whose run others count as dead. */
export const lateError = (id: string): NetrefError =>
  new NetrefError(
    'may-have-run',
    `bus.queue: job ${id}: this worker sent no heartbeat for longer than ackWait while its method ran, so others count it as dead`
  )

/** Where a heartbeat writes, and to whom it reports that it cannot. */
interface HeartbeatContext {
  readonly storage: QueueStorage
  readonly records: JobRecords
  readonly report: (error: unknown) => void
}

/** Changes the record of a job from time to time while its method runs, so that others know that the worker lives. */
export class Heartbeat {
  readonly #timer: ReturnType<typeof clock.setInterval>
  #revision: number | undefined
  #beat = 0
  #writing: Promise<void> | undefined

  /** @param onLost called if others count the worker as dead */
  constructor(
    { storage, records, report }: HeartbeatContext,
    digest: string,
    record: RunningRecord,
    revision: number,
    onLost: (error: Error) => void
  ) {
    this.#revision = revision
    const write = async () => {
      try {
        this.#revision = await records.replace(digest, { ...record, beat: ++this.#beat }, this.#revision!)
        if (this.#revision !== undefined) return
        clock.clearInterval(this.#timer)
        onLost(lateError(digest))
      } catch (error) {
        if ((error as NetrefError).code === 'closed') clock.clearInterval(this.#timer)
        report(error)
      }
    }
    this.#timer = clock.setInterval(() => {
      this.#writing ??= write().finally(() => (this.#writing = undefined))
    }, storage.ackWaitMs / HEARTBEATS_PER_ACK_WAIT)
  }

  /** @returns the revision of the record; undefined if others have changed it */
  async stop(): Promise<number | undefined> {
    clock.clearInterval(this.#timer)
    await this.#writing
    return this.#revision
  }
}
