// JetStream on the connection of a bus. Operations are repeated until NATS has answered them.
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { NetrefError } from '../../../errors.js'
import { clock } from '../../../util/clock.js'
import type { BusConnection } from '../bus-connection.js'
import { isForbidden, toBusError } from '../nats-error.js'
import { loadJetStream } from '../packages.js'
import { unlessLost } from '../unless-lost.js'

/** Codes of errors of JetStream's API. */
export const STREAM_FULL = 10_077
export const WRONG_LAST_SEQUENCE = 10_071
const TEMPORARILY_UNAVAILABLE = 10_008

/** Delays between the repetitions of an operation, in ms. */
const FIRST_DELAY_MS = 50
const MAX_DELAY_MS = 1000

const TRANSIENT_ERRORS = new Set([
  'ConnectionLostError',
  'TimeoutError',
  'RequestError',
  'NoRespondersError',
  'JetStreamNotEnabled'
])
const CLOSED_ERRORS = new Set(['ClosedConnectionError', 'DrainingConnectionError'])

/** The code of an error of JetStream's API; undefined for other errors. */
export const apiErrorCode = (error: unknown): number | undefined =>
  error instanceof Error && 'apiError' in error
    ? (error as unknown as { readonly code: number }).code
    : undefined

/** What operations use. */
export interface JetStreamAccess {
  readonly client: JetStreamClient
  readonly manager: JetStreamManager
}

export class JetStream {
  #access: Promise<JetStreamAccess> | undefined

  constructor(
    readonly connection: BusConnection,
    /** The function that needs JetStream, for error texts. */
    private readonly call: string
  ) {}

  /**
   * Performs an operation, and repeats it while NATS cannot be reached, or does not answer. So the operation may be
   * performed more often than it says.
   *
   * @param signal ends the repetitions: the promise rejects with its reason
   * @throws NetrefError `closed` if the bus is closed, `unreachable` if it has never been connected, and `unauthorized` if
   * NATS does not allow the operation
   */
  async persist<T>(perform: (access: JetStreamAccess) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
      signal?.throwIfAborted()
      const access = await unlessAborted(this.#connected(), signal)
      try {
        return await unlessAborted(unlessLost(this.connection.events, perform(access)), signal)
      } catch (error) {
        signal?.throwIfAborted()
        if (CLOSED_ERRORS.has((error as Error).name)) throw closedError(error as Error)
        if (isForbidden(error as Error)) throw toBusError(this.call, error)
        if (!isTransient(error)) throw error
      }
      await new Promise(resolve => clock.setTimeout(resolve, delayMs))
    }
  }

  async #connected(): Promise<JetStreamAccess> {
    const { connection } = this
    await connection.open()
    while (!connection.connected) {
      await new Promise<void>(resolve => {
        const offs = [connection.events.on('reconnected', onEvent), connection.events.on('closed', onEvent)]
        function onEvent() {
          for (const off of offs) off()
          resolve()
        }
      })
      await connection.open()
    }
    this.#access ??= this.#open()
    return this.#access
  }

  async #open(): Promise<JetStreamAccess> {
    const client = loadJetStream(this.call).jetstream(await this.connection.open())
    return { client, manager: await client.jetstreamManager(false) }
  }
}

const closedError = (cause: Error) =>
  new NetrefError('closed', `the connection to NATS is closed: ${cause.message}`, { cause })

export function isTransient(error: unknown): boolean {
  return TRANSIENT_ERRORS.has((error as Error).name) || apiErrorCode(error) === TEMPORARILY_UNAVAILABLE
}

/** The outcome of a promise. If the signal aborts first, it rejects with the reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/**
 * Ends the repetitions of `run` after a time.
 *
 * @param message of the error, if the time is over
 * @param signal ends them, too
 * @throws NetrefError `unreachable`
 */
export async function withinTime<T>(
  ms: number,
  message: string,
  run: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal
): Promise<T> {
  signal?.throwIfAborted()
  const aborter = new AbortController()
  const abort = () => aborter.abort(signal!.reason)
  signal?.addEventListener('abort', abort)
  const timer = clock.setTimeout(() => aborter.abort(new NetrefError('unreachable', message)), ms)
  try {
    return await run(aborter.signal)
  } finally {
    clock.clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
