// Opens key-value buckets with limits. A bucket that exists with other limits is refused.
import type { KV } from '@nats-io/kv'
import { loadKeyValue } from '../packages.js'
import { createStream } from './create-stream.js'
import { apiErrorCode, type JetStreamAccess, WRONG_LAST_SEQUENCE } from './jetstream.js'

/** The limits of a bucket. */
export interface BucketLimits {
  /** Lifetime of an entry, in ms. */
  readonly ttl: number
  readonly maxEntries: number
  readonly replicas: number
}

/** Whether an entry was not stored, since its key has another revision than expected. */
export const isConflict = (error: unknown): boolean => apiErrorCode(error) === WRONG_LAST_SEQUENCE

/**
 * Opens a bucket, and creates it if there is none. Entries are read from the leader, since a stale one would be an old
 * state.
 *
 * @param call the function that needs the bucket, for error texts
 * @throws NetrefError `unavailable` if it cannot be created, or has other limits
 */
export async function openBucket(
  { client, manager }: JetStreamAccess,
  name: string,
  { ttl, maxEntries, replicas }: BucketLimits,
  call: string
): Promise<KV> {
  const { Kvm } = loadKeyValue(call)
  // The package of NATS creates no bucket with a maximum number of entries.
  const config = {
    name: `KV_${name}`,
    subjects: [`$KV.${name}.>`],
    max_msgs_per_subject: 1,
    deny_delete: true,
    allow_rollup_hdrs: true
  }
  const limits = { max: maxEntries, maxName: 'maxEntries', replicas, ttl }
  await createStream(manager, config, limits, `${call}: the bucket ${name}`)
  return new Kvm(client).open(name, { allow_direct: false })
}
