// Who may come in: one client at the door, from its request until it is let in or refused.
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Reason } from '../errors.js'
import { meansLater } from '../transport/http-status.js'
import type { Visitor } from '../transport/transport.js'
import { type Deadline, deadlineIn } from '../util/deadline.js'
import type { Report } from '../util/emitter.js'
import type { Arriving } from './arriving-socket.js'
import type { UpgradeRequest } from './upgrade-request.js'

/** What `authenticate` may say: an identity, or that there is none. */
export type Verdict<Identity> = Identity | undefined | null | false

/**
 * Says who a client is, or that it is nobody: by `undefined`, `null`, `false`, or by an error with a `status` of 4xx.
 * Any other error, and 408, 425 and 429, say nothing of the client: it is to come again later, and not before
 * `retryAfter` seconds where the error has them. The client is told the status and nothing else; an error without a
 * `status` counts as 503 and is reported.
 */
export type Authenticate<Identity = unknown> = (
  request: UpgradeRequest
) => Verdict<Identity> | PromiseLike<Verdict<Identity>>

const UNAUTHORIZED = 401
const UNAVAILABLE = 503

/** @internal One client at the door. */
export class Admission {
  /** The socket, where it was opened to hear the token. */
  #arriving: Arriving | undefined
  #over = false
  #deadline: Deadline | undefined

  constructor(
    private readonly socket: Duplex,
    private readonly openSocket: () => Arriving | undefined
  ) {}

  /** Opens the socket, whatever comes of it. Undefined when the client is gone, or its request is not well formed. */
  open(): Arriving | undefined {
    if (this.#over) return undefined
    this.#arriving ??= this.openSocket()
    return this.#arriving
  }

  /**
   * Asks who the client is, and waits no longer than that; `onDelay` is called where the client is not at fault.
   *
   * @returns undefined when it was refused
   */
  async decide<Identity>(
    authenticate: Authenticate<Identity>,
    request: UpgradeRequest,
    withinMs: number,
    admits: (identity: Identity) => boolean,
    report: Report,
    onDelay: () => void
  ): Promise<Visitor | undefined> {
    const message = `it was not let in within ${withinMs} ms`
    this.#deadline = deadlineIn(withinMs, () => {
      // A client that has said nothing was too slow itself.
      const isItsDelay = this.#arriving?.heard === false
      if (!isItsDelay) onDelay()
      this.refuse(UNAVAILABLE, { code: isItsDelay ? 'limit' : 'unavailable', message })
    }).unref()
    let identity: Verdict<Identity>
    let status = UNAUTHORIZED
    let reason = NOT_LET_IN
    try {
      identity = await authenticate(request)
    } catch (error) {
      const meant = statusOf(error)
      if (meant === undefined) report(error)
      status = meant ?? UNAVAILABLE
      if (meansLater(status)) reason = { ...NOT_NOW, retryAfter: retryAfterOf(error) }
    }
    this.#deadline.stop()
    // Who has gone takes no place.
    if (this.#over || this.socket.destroyed) return undefined
    if (identity === undefined || identity === null || identity === false) this.refuse(status, reason)
    else if (!admits(identity)) this.refuse(UNAVAILABLE, FULL)
    const transport = this.open()
    return transport && { transport, identity, since: transport.since }
  }

  /** Turns the client away: by HTTP, or, where the socket is open already, with a reason. */
  refuse(status: number, reason: Reason): void {
    if (this.#over) return
    this.#over = true
    this.#deadline?.stop()
    if (this.#arriving) this.#arriving.close(reason)
    else refuse(this.socket, status, STATUS_CODES[status], reason.retryAfter)
  }
}

/** A place may be free soon. */
const RETRY_AFTER = 1
export const FULL: Reason = {
  code: 'unavailable',
  message: 'the server has all its sessions already',
  retryAfter: RETRY_AFTER
}
export const CROWDED: Reason = {
  code: 'unavailable',
  message: 'too many clients come from this address',
  retryAfter: RETRY_AFTER
}
const NOT_LET_IN: Reason = { code: 'unauthorized', message: 'it was not let in' }
const NOT_NOW: Reason = { code: 'unavailable', message: 'it was not let in for now' }

/** The HTTP status that an error asks for, as those of web frameworks do. */
function statusOf(error: unknown): number | undefined {
  const { status } = (error ?? {}) as { status?: unknown }
  return typeof status === 'number' && status >= 400 && status in STATUS_CODES ? status : undefined
}

const MOST_SECONDS = 1e9

/** To the millisecond. */
function retryAfterOf(error: unknown): number | undefined {
  const { retryAfter } = (error ?? {}) as { retryAfter?: unknown }
  const isTime = typeof retryAfter === 'number' && retryAfter >= 0 && retryAfter < MOST_SECONDS
  return isTime ? Math.round(retryAfter * 1000) / 1000 : undefined
}

/** @internal Answers a request to upgrade with an HTTP error; `retryAfter` is in seconds. */
export function refuse(
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
