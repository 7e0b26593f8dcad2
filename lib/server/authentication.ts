// Who may come in: one client at the door, from its request until it is let in or refused.
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Reason } from '../errors.js'
import { isTemporaryRefusal } from '../transport/http-status.js'
import type { AcceptedClient } from '../transport/transport.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'
import type { PreHelloTransport } from './pre-hello-transport.js'
import type { UpgradeRequest } from './upgrade-request.js'

/** What `authenticate` may say: an identity, or that there is none. */
export type AuthenticateResult<Identity> = Identity | undefined | null | false

/**
 * Says who a client is, or that it is nobody: by `undefined`, `null`, `false`, or by an error with a `status` of 4xx.
 * Any other error, and 408, 425 and 429, say nothing of the client: it is to come again later, and not before
 * `retryAfter` seconds where the error has them. The client is told the status and nothing else; an error without a
 * `status` counts as 503 and is reported.
 */
export type Authenticate<Identity = unknown> = (
  request: UpgradeRequest
) => AuthenticateResult<Identity> | PromiseLike<AuthenticateResult<Identity>>

const UNAUTHORIZED_STATUS = 401
const UNAVAILABLE_STATUS = 503

/** @internal One client at the door. */
export class PendingUpgrade {
  /** The socket, where it was opened to hear the token. */
  #transport: PreHelloTransport | undefined
  #isRejected = false
  #deadline: Deadline | undefined

  constructor(
    private readonly socket: Duplex,
    private readonly openTransport: () => PreHelloTransport | undefined
  ) {}

  /** Opens the socket, whatever comes of it. Undefined when the client is gone, or its request is not well formed. */
  open(): PreHelloTransport | undefined {
    if (this.#isRejected) return undefined
    this.#transport ??= this.openTransport()
    return this.#transport
  }

  /**
   * Asks who the client is, and waits no longer than that; `onDelay` is called where the client is not at fault.
   *
   * @returns undefined when it was refused
   */
  async authenticate<Identity>(
    authenticate: Authenticate<Identity>,
    request: UpgradeRequest,
    timeoutMs: number,
    takeSessionSlot: (identity: Identity) => boolean,
    report: ReportError,
    onDelay: () => void
  ): Promise<AcceptedClient | undefined> {
    const message = `it was not let in within ${timeoutMs} ms`
    this.#deadline = startDeadline(timeoutMs, () => {
      // A client that has said nothing was too slow itself.
      const isClientSlow = this.#transport?.hasReceived === false
      if (!isClientSlow) onDelay()
      this.reject(UNAVAILABLE_STATUS, { code: isClientSlow ? 'limit' : 'unavailable', message })
    }).unref()
    let identity: AuthenticateResult<Identity>
    let status = UNAUTHORIZED_STATUS
    let reason = NOT_AUTHENTICATED
    try {
      identity = await authenticate(request)
    } catch (error) {
      const errorStatus = statusOf(error)
      if (errorStatus === undefined) report(error)
      status = errorStatus ?? UNAVAILABLE_STATUS
      if (isTemporaryRefusal(status))
        reason = { ...AUTHENTICATION_UNAVAILABLE, retryAfter: retryAfterOf(error) }
    }
    this.#deadline.stop()
    // Who has gone takes no place.
    if (this.#isRejected || this.socket.destroyed) return undefined
    if (identity === undefined || identity === null || identity === false) this.reject(status, reason)
    else if (!takeSessionSlot(identity)) this.reject(UNAVAILABLE_STATUS, SESSION_LIMIT_REACHED)
    const transport = this.open()
    return transport && { transport, identity, connectedAt: transport.connectedAt }
  }

  /** Turns the client away: by HTTP, or, where the socket is open already, with a reason. */
  reject(status: number, reason: Reason): void {
    if (this.#isRejected) return
    this.#isRejected = true
    this.#deadline?.stop()
    if (this.#transport) this.#transport.close(reason)
    else rejectUpgrade(this.socket, status, STATUS_CODES[status], reason.retryAfter)
  }
}

/** A place may be free soon. */
const RETRY_AFTER_SECONDS = 1
export const SESSION_LIMIT_REACHED: Reason = {
  code: 'unavailable',
  message: 'the server has all its sessions already',
  retryAfter: RETRY_AFTER_SECONDS
}
export const ADDRESS_LIMIT_REACHED: Reason = {
  code: 'unavailable',
  message: 'too many clients come from this address',
  retryAfter: RETRY_AFTER_SECONDS
}
const NOT_AUTHENTICATED: Reason = { code: 'unauthorized', message: 'it was not let in' }
const AUTHENTICATION_UNAVAILABLE: Reason = { code: 'unavailable', message: 'it was not let in for now' }

/** The HTTP status that an error asks for, as those of web frameworks do. */
function statusOf(error: unknown): number | undefined {
  const { status } = (error ?? {}) as { status?: unknown }
  return typeof status === 'number' && status >= 400 && status in STATUS_CODES ? status : undefined
}

const MAX_RETRY_AFTER_SECONDS = 1e9

/** To the millisecond. */
function retryAfterOf(error: unknown): number | undefined {
  const { retryAfter } = (error ?? {}) as { retryAfter?: unknown }
  const isDuration = typeof retryAfter === 'number' && retryAfter >= 0 && retryAfter < MAX_RETRY_AFTER_SECONDS
  return isDuration ? Math.round(retryAfter * 1000) / 1000 : undefined
}

/** @internal Answers a request to upgrade with an HTTP error; `retryAfter` is in seconds. */
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
