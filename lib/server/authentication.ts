// Authenticates a client: from its upgrade request until it is accepted or rejected.
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Reason } from '../errors.js'
import { isTemporaryRefusal } from '../transport/http-status.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'
import type { PreHelloTransport } from './pre-hello-transport.js'
import type { UpgradeRequest } from './upgrade-request.js'

/** Result of `authenticate`: an identity, or `undefined`, `null` or `false` to reject the client. */
export type AuthenticateResult<Identity> = Identity | undefined | null | false

/**
 * Identifies a client. `undefined`, `null`, `false` or an error with a `status` of 4xx reject it.
 *
 * Any other error, and the statuses 408, 425 and 429, mean a temporary refusal: the client retries. If the error has a
 * field `retryAfter`, the client waits at least as many seconds. An error without a `status` counts as 503 and is
 * reported. The client learns the status and nothing else.
 */
export type Authenticate<Identity = unknown> = (
  request: UpgradeRequest
) => AuthenticateResult<Identity> | PromiseLike<AuthenticateResult<Identity>>

const UNAUTHORIZED_STATUS = 401
const UNAVAILABLE_STATUS = 503

/** @internal What is known of a client whose end is awaited: its socket, or the response to its request. */
export interface ClosableClient {
  readonly destroyed: boolean
  once(event: 'close', listener: () => void): unknown
}

/** @internal A client that is being authenticated. */
export class PendingUpgrade {
  /** The transport, if it was opened to receive the token. */
  #transport: PreHelloTransport | undefined
  #isRejected = false
  #deadline: Deadline | undefined

  constructor(
    private readonly client: ClosableClient,
    private readonly openTransport: () => PreHelloTransport | undefined,
    private readonly onRejected: (reason: Reason) => void,
    /** Rejects a client whose transport is not open. */
    private readonly rejectUnopened: (status: number, reason: Reason) => void
  ) {}

  /** Opens the transport. Returns undefined if the client is gone or its request is malformed. */
  open(): PreHelloTransport | undefined {
    if (this.#isRejected) return undefined
    this.#transport ??= this.openTransport()
    return this.#transport
  }

  /**
   * Calls `authenticate`, and rejects the client if it fails or takes longer than `timeoutMs`. `onDelay` is called if
   * the delay is not the client's.
   *
   * @returns undefined if the client was rejected, or is gone
   */
  async authenticate<Identity>(
    authenticate: () => ReturnType<Authenticate<Identity>>,
    timeoutMs: number,
    report: ReportError,
    onDelay: () => void
  ): Promise<{ readonly identity: Identity } | undefined> {
    this.#startDeadline(timeoutMs, onDelay)
    let identity: AuthenticateResult<Identity>
    let refusal: Refusal = { status: UNAUTHORIZED_STATUS, reason: NOT_AUTHENTICATED }
    try {
      identity = await authenticate()
    } catch (error) {
      refusal = refusalOf(error, report)
    }
    this.#deadline!.stop()
    // A client that is gone does not use a session slot.
    if (this.#isRejected || this.client.destroyed) return undefined
    if (identity !== undefined && identity !== null && identity !== false) return { identity }
    this.reject(refusal.status, refusal.reason)
    return undefined
  }

  #startDeadline(timeoutMs: number, onDelay: () => void): void {
    const message = `authentication took longer than ${timeoutMs} ms`
    this.#deadline = startDeadline(timeoutMs, () => {
      // A client that has sent nothing caused the delay itself.
      const isClientSlow = this.#transport?.hasReceived === false
      if (!isClientSlow) onDelay()
      this.reject(UNAVAILABLE_STATUS, { code: isClientSlow ? 'limit' : 'unavailable', message })
    }).unref()
  }

  /** Rejects the client: by HTTP, or by the close reason if the socket is open. */
  reject(status: number, reason: Reason): void {
    if (this.#isRejected) return
    this.#isRejected = true
    this.#deadline?.stop()
    this.onRejected(reason)
    if (this.#transport) this.#transport.close(reason)
    else this.rejectUnopened(status, reason)
  }
}

interface Refusal {
  readonly status: number
  readonly reason: Reason
}

/** How an error of `authenticate` refuses the client; one without a `status` is reported. */
function refusalOf(error: unknown, report: ReportError): Refusal {
  const errorStatus = statusOf(error)
  if (errorStatus === undefined) report(error)
  const status = errorStatus ?? UNAVAILABLE_STATUS
  const isTemporary = isTemporaryRefusal(status)
  const temporary = { ...AUTHENTICATION_UNAVAILABLE, retryAfter: retryAfterOf(error) }
  return { status, reason: { ...(isTemporary ? temporary : NOT_AUTHENTICATED), cause: error } }
}

/** A session slot may be free soon. */
const RETRY_AFTER_SECONDS = 1
export const SESSION_LIMIT_REACHED: Reason = {
  code: 'unavailable',
  message: 'the server has reached its limit of sessions',
  retryAfter: RETRY_AFTER_SECONDS
}
export const ADDRESS_LIMIT_REACHED: Reason = {
  code: 'unavailable',
  message: 'the limit of clients per address is reached',
  retryAfter: RETRY_AFTER_SECONDS
}
const NOT_AUTHENTICATED: Reason = { code: 'unauthorized', message: 'authentication failed' }
const AUTHENTICATION_UNAVAILABLE: Reason = {
  code: 'unavailable',
  message: 'authentication is temporarily unavailable'
}

/** The HTTP status of an error, as web frameworks set it; undefined if it has none. */
function statusOf(error: unknown): number | undefined {
  const { status } = (error ?? {}) as { status?: unknown }
  return typeof status === 'number' && status >= 400 && status in STATUS_CODES ? status : undefined
}

const MAX_RETRY_AFTER_SECONDS = 1e9

/** Rounded to the millisecond. */
function retryAfterOf(error: unknown): number | undefined {
  const { retryAfter } = (error ?? {}) as { retryAfter?: unknown }
  const isDuration = typeof retryAfter === 'number' && retryAfter >= 0 && retryAfter < MAX_RETRY_AFTER_SECONDS
  return isDuration ? Math.round(retryAfter * 1000) / 1000 : undefined
}

/** @internal Answers an upgrade request with an HTTP error. `retryAfter` is in seconds. */
export function rejectUpgrade(
  socket: Duplex,
  status: number,
  why = STATUS_CODES[status]!,
  retryAfter?: number
): void {
  const body = `${why}\n`
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`
  ]
  if (retryAfter !== undefined) head.push(`Retry-After: ${Math.ceil(retryAfter)}`)
  socket.once('finish', () => socket.destroy())
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
