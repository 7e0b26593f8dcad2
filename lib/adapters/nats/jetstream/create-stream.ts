// Creates streams with limits. A stream that exists with other limits is refused.
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { NetrefError } from '../../../errors.js'
import { clock } from '../../../util/clock.js'
import { loadJetStream } from '../packages.js'
import { apiErrorCode, isTransient } from './jetstream.js'

/** Code of the creation of a stream that exists with other options. */
const STREAM_DIFFERS = 10_058
/** Code of the creation of a stream whose subjects another one has. */
const SUBJECTS_OVERLAP = 10_065
/** How often, and after how many ms, the creation is tried again. */
const RETRIES = 5
const RETRY_MS = 50

export const toNanos = (ms: number): number => ms * 1_000_000

/** The limits of a stream. */
export interface StreamLimits {
  /** Maximum number of messages, and what the user's option is called. */
  readonly max: number
  readonly maxName: string
  readonly replicas: number
  /** Lifetime of a message, in ms; undefined if they do not expire. */
  readonly ttl?: number
}

/**
 * Creates a stream that refuses what is beyond its limits. If it exists with the same options, nothing is done. The limit is a
 * number of messages: with one of bytes, nats-server 2.9 may delete the oldest message instead.
 *
 * @param what for error texts
 * @throws NetrefError `unavailable`
 */
export async function createStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & { readonly name: string },
  { max, maxName, replicas, ttl = 0 }: StreamLimits,
  what: string
): Promise<void> {
  const { DiscardPolicy } = loadJetStream(what)
  const limits = { max_msgs: max, max_age: toNanos(ttl), num_replicas: replicas, discard: DiscardPolicy.New }
  const add = async (): Promise<unknown> => {
    for (let triesLeft = RETRIES; ; triesLeft--) {
      try {
        return await manager.streams.add({ ...config, ...limits })
      } catch (error) {
        const code = apiErrorCode(error)
        if (code === STREAM_DIFFERS) {
          const { max_msgs, max_age, num_replicas } = (await manager.streams.info(config.name)).config
          requireSame(
            what,
            { [maxName]: max, replicas, ttl },
            { [maxName]: max_msgs, replicas: num_replicas, ttl: max_age / toNanos(1) }
          )
        }
        // NATS says so, too, while another process creates the same stream.
        if (triesLeft === 0 || (code !== STREAM_DIFFERS && code !== SUBJECTS_OVERLAP)) throw error
        await new Promise(resolve => clock.setTimeout(resolve, RETRY_MS))
      }
    }
  }
  await explainRefusal(`${what} cannot be created`, add())
}

/** Names what could not be set up if JetStream refuses an operation. @throws NetrefError `unavailable` */
export async function explainRefusal<T>(what: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation
  } catch (error) {
    const { name, message } = error as Error
    const isDisabled = name === 'JetStreamNotEnabled'
    if (!isDisabled && (apiErrorCode(error) === undefined || isTransient(error))) throw error
    const reason = isDisabled ? 'NATS has no JetStream; start nats-server with `-js`' : message
    throw new NetrefError('unavailable', `${what}: ${reason}`, { cause: error })
  }
}

/**
 * Compares what exists with what is asked for.
 *
 * @throws NetrefError `unavailable` that names the first option with another value
 */
export function requireSame(
  what: string,
  asked: Readonly<Record<string, number>>,
  existing: Readonly<Record<string, number | undefined>>
): void {
  for (const [name, value] of Object.entries(asked)) {
    if (existing[name] === value) continue
    throw new NetrefError(
      'unavailable',
      `${what} exists with ${name} ${existing[name]}, not ${value}; pass the same options everywhere, or remove it`
    )
  }
}
