// The dead letters of a queue: the jobs that are not tried again, each with the reason. They are kept until they are put
// back or removed.
import type { StoredMsg } from '@nats-io/jetstream'
import type { MsgHdrs } from '@nats-io/transport-node'
import { deleteMessage, storedMessages } from '../jetstream/stored-messages.js'
import { createHeaders, type JobCall, keyOfJob, PATH_HEADER, readCall } from './job.js'
import { type DeadLetterReason, digestOf } from './job-records.js'
import type { QueueStorage } from './queue-storage.js'

/** The header with the reason and the number of attempts, as JSON. */
const LETTER_HEADER = 'Netref-Dead-Letter'
/** Maximum characters of the message of a reason. Each takes up to 6 bytes in the header. */
const MAX_REASON_CHARS = 1000

interface LetterHeader {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly attempts: number
}

/** A job that is not tried again. */
export class DeadLetter {
  /** The idempotency key of the call, or the random key of a call without one. */
  readonly id: string
  /** Why it is not tried again. */
  readonly reason: DeadLetterReason
  /** How often its method was started. */
  readonly attempts: number
  /** When it was given up. */
  readonly time: Date
  /** The path of the method; undefined if the job is unreadable. */
  readonly path: readonly string[] | undefined
  /** The arguments; undefined if the job is unreadable. */
  readonly args: readonly unknown[] | undefined

  readonly #storage: QueueStorage
  readonly #message: StoredMsg

  /** @internal */
  constructor(storage: QueueStorage, message: StoredMsg) {
    this.#storage = storage
    this.#message = message
    const { id, reason, attempts } = readHeader(message)
    const call = tryReadCall(message)
    this.id = keyOfJob(id)
    this.reason = reason
    this.attempts = attempts
    this.time = message.time
    this.path = call?.path
    this.args = call?.args
  }

  /**
   * Stores the job anew, and removes the letter. It is another job: its method may run again, whatever it has done before.
   *
   * @throws LimitError if the queue is full; the letter stays
   */
  async putBack(): Promise<void> {
    const [storage, message] = [this.#storage, this.#message]
    const { id } = readHeader(message)
    // The same id if this is repeated, so that it is stored once.
    const headers = createHeaders(`${id}/${message.seq}`, message.header.get(PATH_HEADER))
    const full = `the queue ${storage.name} is full (maxJobs)`
    await storage.publish('putBack', storage.jobSubject, message.data, headers, full)
    await this.remove()
  }

  /** Removes the letter, and so the job. A letter that is gone already is no error. */
  remove(): Promise<void> {
    const { jetstream, deadStream } = this.#storage
    return deleteMessage(jetstream, deadStream, this.#message.seq)
  }
}

function readHeader({ header, subject }: StoredMsg): LetterHeader {
  try {
    const { id, reason, attempts }: LetterHeader = JSON.parse(header.get(LETTER_HEADER))
    const { code, message } = reason
    if ([id, code, message].every(text => typeof text === 'string') && Number.isInteger(attempts))
      return { id, reason: { code, message }, attempts }
  } catch {
    // It is none of a worker.
  }
  return { id: subject, reason: { code: 'unreadable', message: 'no worker has kept it' }, attempts: 0 }
}

function tryReadCall({ header, data }: StoredMsg): JobCall | undefined {
  try {
    return readCall(header, data)
  } catch {
    return undefined
  }
}

/** The letters that are kept now, and those that come while they are listed, oldest first. */
export async function* listDeadLetters(storage: QueueStorage): AsyncGenerator<DeadLetter, void, undefined> {
  await storage.open()
  const { jetstream, deadStream, deadSubjects } = storage
  for await (const message of storedMessages(jetstream, deadStream, deadSubjects))
    yield new DeadLetter(storage, message)
}

/**
 * Keeps a job as a dead letter. There is one for each job, however often this is repeated.
 *
 * @throws LimitError if no more letters can be kept
 */
export async function keepDeadLetter(
  storage: QueueStorage,
  job: { readonly id: string; readonly headers: MsgHdrs | undefined; readonly data: Uint8Array },
  reason: DeadLetterReason,
  attempts: number
): Promise<void> {
  const { id, data } = job
  const message = reason.message.slice(0, MAX_REASON_CHARS)
  const header: LetterHeader = { id, reason: { ...reason, message }, attempts }
  const headers = createHeaders(`dead/${id}`, job.headers?.get(PATH_HEADER) ?? '')
  headers.set(LETTER_HEADER, JSON.stringify(header))
  const full = `${storage.name} has as many dead letters as it may have (maxJobs): put back or remove some`
  await storage.publish('bus.queue', storage.deadSubject(digestOf(id)), data, headers, full)
}
