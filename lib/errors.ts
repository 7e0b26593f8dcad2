// The errors of netref's own: a few classes, each with a code, and the reasons a session ends for. What they say may be
// of a peer's: it is made printable here, wherever it comes from.
import { toPrintable } from './util/printable.js'
import { isInstanceOf } from './util/realms.js'

/** Why a session ends, by code. */
export const REASONS = {
  closed: 'this side or the peer called `close()`',
  'server-closed': 'the server is going away',
  unreachable: 'the first connection did not come about; `cause` says why',
  unauthorized: 'the server did not let the client in (`authenticate`, or an origin)',
  unavailable:
    'the server lets no client in at present: it is full, or `authenticate` failed or was too slow',
  'connection-lost': 'the socket broke, and no other one came to carry the session on',
  'session-lost': 'the session cannot be carried on: the server knows it no more, or another client began it',
  version: 'the peer speaks another version of the protocol',
  protocol: 'the peer sent something that is not of the protocol',
  limit: 'the peer went beyond a limit of `limits` that no single call can answer for',
  'peer-not-reading': 'the peer asked and asked, and read no replies',
  'service-failed': 'the service could not be made when the session began',
  'peer-failed': 'the peer ended the session for a fault of its own',
  internal: 'a fault in netref itself; `cause` is the exception'
} as const

export type ReasonCode = keyof typeof REASONS
export const isReasonCode = (code: unknown): code is ReasonCode =>
  typeof code === 'string' && Object.hasOwn(REASONS, code)

/** Why a session ended: `conn.closed`, `onDisconnect` and rejected calls say the same. */
export interface Reason {
  readonly code: ReasonCode
  readonly message: string
  readonly cause?: unknown
  /** How long the server asks the client to wait before it tries again, in seconds, as HTTP's `Retry-After` does. */
  readonly retryAfter?: number | undefined
}

/** Why a call was refused before or after it ran, without an exception of the handler's own. */
export type RejectionCode =
  | 'not-exposed'
  | 'not-callable'
  | 'released'
  | 'unsendable'
  | 'unreadable'
  | 'limit'
  | 'may-have-run'

/**
 * What netref itself has to say about a call: every error of netref's own has a `code`.
 *
 * @example
 * try { await root.secret() } catch (error) { if (error.code === 'not-exposed') … }
 */
export class NetrefError extends Error {
  override name = 'NetrefError'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(toPrintable(message), options)
    this.code = code
  }
}

/** The member does not exist for this peer (`not-exposed`), or cannot be called (`not-callable`). */
export class ExposureError extends NetrefError {
  override name = 'ExposureError'
}

/** The netref was released, by `Netref.release` or `using`. */
export class ReleasedError extends NetrefError {
  override name = 'ReleasedError'
}

/** A limit of `limits` that one call can answer for was reached. */
export class LimitError extends NetrefError {
  override name = 'LimitError'
}

/** The session ended before the call was answered. `code` is the reason's. */
export class SessionEndedError extends NetrefError {
  override name = 'SessionEndedError'
  readonly reason: Reason
  /** Whether the call had left this side, so that the other one may have carried it out; `false` says it did not run. */
  readonly mayHaveRun: boolean

  constructor(reason: Reason, call?: string, mayHaveRun = false) {
    const message = `the session has ended (${reason.code}): ${reason.message}`
    super(
      reason.code,
      call === undefined ? message : `${call}: ${message}`,
      reason.cause === undefined ? undefined : { cause: reason.cause }
    )
    this.reason = reason
    this.mayHaveRun = mayHaveRun
  }
}

/** The call was sent again in a new session, and not run, as it may have run in the one before: it is not `@idempotent`. */
export class MayHaveRunError extends NetrefError {
  override name = 'MayHaveRunError'
  readonly mayHaveRun = true
}

/** Says of an error that a call was given up with whether that may have run; of one for several calls, whether any may have. */
export function markMayHaveRun(error: unknown, mayHaveRun: boolean): void {
  try {
    if (!isInstanceOf('Error', error)) return
    const value = mayHaveRun || ('mayHaveRun' in error && error.mayHaveRun === true)
    Object.defineProperty(error, 'mayHaveRun', { value, configurable: true, writable: true })
  } catch {
    // The reason of a signal is a user's: it may be frozen.
  }
}

/** A value that cannot travel: its message names the path in the arguments, what was found there, and the cure. */
export class UnsendableError extends TypeError {
  override name = 'UnsendableError'
  readonly code = 'unsendable'

  constructor(message: string) {
    super(toPrintable(message))
  }
}

/** One thing that is wrong with the arguments of a call. */
export interface Issue {
  /** What the schema says of it. */
  readonly message: string
  /** Where it is: the index of the argument, and what leads on from there. */
  readonly path: readonly (string | number)[]
}

/** The arguments of a call are not what its schema takes: the method was not run. */
export class ArgumentsError extends TypeError {
  override name = 'ArgumentsError'
  readonly code = 'invalid-arguments'
  readonly issues: readonly Issue[]

  constructor(message: string, issues: readonly Issue[]) {
    super(toPrintable(message))
    this.issues = issues
  }
}

/** A reason as it is told here: what the other side said of it is in one line, and of a bounded length. */
export function printableReason(reason: Reason): Reason {
  const message = toPrintable(reason.message)
  return message === reason.message ? reason : { ...reason, message }
}

/** Why a session ends that cannot go on for this error. */
export function reasonForError(error: unknown): Reason {
  if (error instanceof ProtocolError) return { code: error.code, message: `it received ${error.message}` }
  return { code: 'internal', message: 'a fault in netref itself', cause: error }
}

/** A frame that is not of the protocol. It ends the session; nothing above the session ever sees it. */
export class ProtocolError extends Error {
  override name = 'ProtocolError'
  readonly code: 'protocol' | 'limit' | 'version'

  constructor(message: string, code: 'protocol' | 'limit' | 'version' = 'protocol') {
    super(toPrintable(message))
    this.code = code
  }
}

/** The other side was told how many it may send: there is no call that could be refused for them. */
export const tooManyValues = (limit: number) =>
  new ProtocolError(
    `a message with more than ${limit} values that are not plain JSON (limits.values)`,
    'limit'
  )

const rejectionErrors: Record<RejectionCode, (message: string) => Error> = {
  'not-exposed': message => new ExposureError('not-exposed', message),
  'not-callable': message => new ExposureError('not-callable', message),
  released: message => new ReleasedError('released', message),
  unsendable: message => new UnsendableError(message),
  unreadable: message => new NetrefError('unreadable', message),
  limit: message => new LimitError('limit', message),
  'may-have-run': message => new MayHaveRunError('may-have-run', message)
}

/** Until its stack is written down, an error holds the functions there, and with them the message that is acted on. */
export function materializeStacks(error: unknown): void {
  try {
    for (
      let current = error, depth = 0;
      isInstanceOf('Error', current) && depth < MAX_CAUSE_DEPTH;
      current = current.cause, depth++
    )
      void current.stack
  } catch {
    // A stack may be what a user has made of it.
  }
}
/** Causes may be in a cycle. */
const MAX_CAUSE_DEPTH = 16

/** The error a caller gets for a refusal: `call` is the call as the caller wrote it, e.g. `root.open("x")`. */
export function rejectionError(code: RejectionCode, call: string, message: string): Error {
  return rejectionErrors[code](`${call}: ${message}`)
}

export function isRejectionCode(code: unknown): code is RejectionCode {
  return typeof code === 'string' && Object.hasOwn(rejectionErrors, code)
}

/** Thrown at home to refuse one call; the session answers it with a `refused` message. */
export class CallRejection {
  readonly message: string

  constructor(
    readonly code: RejectionCode,
    message: string
  ) {
    this.message = toPrintable(message)
  }
}

/** What a call is refused with where its value or an error cannot be sent. */
export function toCallRejection(failure: unknown): CallRejection | undefined {
  if (failure instanceof LimitError) return new CallRejection('limit', failure.message)
  return failure instanceof UnsendableError ? new CallRejection('unsendable', failure.message) : undefined
}

const TRANSPORT_LOSS_CODES: readonly ReasonCode[] = ['connection-lost', 'unreachable', 'unavailable']

/** Whether only the transport failed, so that the session may resume; any other reason ends the session. */
export const isTransportLoss = ({ code }: Reason): boolean => TRANSPORT_LOSS_CODES.includes(code)

/** Whether the server rejected the client: it has processed nothing that this transport sent. */
export const isRefusedByServer = ({ code }: Reason): boolean =>
  code === 'unavailable' || code === 'unauthorized'
