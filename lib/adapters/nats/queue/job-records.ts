// The records of jobs: which one runs, which has failed how often, and which is settled. A record changes only from the
// state that its writer has seen. So of two workers that get the same job, one runs it.
import { createHash } from 'node:crypto'
import type { KV } from '@nats-io/kv'
import { isConflict } from '../jetstream/bucket.js'
import type { JetStream } from '../jetstream/jetstream.js'

/** Why a job is no longer tried. */
export interface DeadLetterReason {
  /**
   * `failed`: its method failed at each attempt. `may-have-run`: its worker died while the method ran, which is not
   * idempotent. `unreadable`, `not-exposed`, `not-callable`, `invalid-arguments`, `limit`: the method did not run, as in other
   * calls. `refused`, or the code of the error: `before` refused the call.
   */
  readonly code: string
  /** The message of the error. */
  readonly message: string
}

/** The state of a job that a worker has had. */
export type JobRecord =
  | {
      readonly state: 'running'
      /** Names this run, so that no two records are equal. */
      readonly run: string
      /** How often the method was started. */
      readonly attempts: number
      /** Changes while the worker lives. */
      readonly beat?: number
    }
  | {
      readonly state: 'failed'
      readonly run: string
      readonly attempts: number
      readonly reason: DeadLetterReason
      /** Whether it is not tried again. */
      readonly isFinal: boolean
    }
  | { readonly state: 'settled'; readonly run: string }

/** The record of a job whose method runs. */
export type RunningRecord = JobRecord & { readonly state: 'running' }

/** A record, and its revision. */
export interface StoredRecord {
  readonly record: JobRecord
  readonly revision: number
}

/** A name of a job that may be part of a subject. */
export const digestOf = (id: string): string => createHash('sha256').update(id).digest('base64url')

export class JobRecords {
  constructor(
    private readonly bucket: KV,
    private readonly jetstream: JetStream
  ) {}

  /** The record of a job; undefined if no worker has had it, or that was longer ago than the lifetime of records. */
  get(digest: string): Promise<StoredRecord | undefined> {
    return this.jetstream.persist(async () => {
      const entry = await this.bucket.get(digest)
      return entry ? { record: entry.json<JobRecord>(), revision: entry.revision } : undefined
    })
  }

  /**
   * Replaces a record, or creates it.
   *
   * @param revision of the record that is replaced; 0 if there is none
   * @returns the new revision; undefined if the job has another record by now
   */
  async replace(digest: string, record: JobRecord, revision: number): Promise<number | undefined> {
    const text = JSON.stringify(record)
    return this.jetstream.persist(async () => {
      try {
        return await (revision > 0
          ? this.bucket.update(digest, text, revision)
          : this.bucket.create(digest, text))
      } catch (error) {
        if (!isConflict(error)) throw error
        // An earlier try may have stored it, unanswered.
        const entry = await this.bucket.get(digest)
        return entry?.string() === text ? entry.revision : undefined
      }
    })
  }
}
