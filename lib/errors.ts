// The error classes of netref, each with a code, and the reasons for the end of a session. Their texts may contain text of
// a peer, so they are made printable here.
import { toPrintable } from './util/printable.js'
import { isInstanceOf } from './util/realms.js'

/** The codes of the reasons for the end of a session. */
const REASON_CODES = [
  'closed',
  'revoked',
  'server-closed',
  'unreachable',
  'unauthorized',
  'unavailable',
  'connection-lost',
  'session-lost',
  'version',
  'protocol',
  'limit',
  'peer-not-reading',
  'service-failed',
  'peer-failed',
  'internal'
] as const

/**
 * The codes of netref for the end of a session:
 *
 * - `closed`: this side or the peer called `close()`.
 * - `revoked`: `close({ code: 'revoked' })` was called: the client must not come back with its present token.
 * - `server-closed`: the server is closing.
 * - `unreachable`: the first connection failed; see `cause`.
 * - `unauthorized`: the server rejected the client (`authenticate`, or its origin).
 * - `unavailable`: the server accepts no clients at present: it is full, or `authenticate` failed or timed out.
 * - `connection-lost`: the socket broke, and the session was not resumed.
 * - `session-lost`: the session cannot be resumed: the server no longer has it, or it belongs to another client.
 * - `version`: the peer has another protocol version.
 * - `protocol`: the peer violated the protocol.
 * - `limit`: the peer exceeded a limit of `limits` that concerns no single call.
 * - `peer-not-reading`: the peer kept calling, and did not read the replies.
 * - `service-failed`: creating the service failed when the session began.
 * - `peer-failed`: the peer ended the session because of an internal error.
 * - `internal`: an internal error of netref; see `cause`.
 */
export type ReasonCode = (typeof REASON_CODES)[number]
export const isReasonCode = (code: unknown): code is ReasonCode => REASON_CODES.includes(code as ReasonCode)

/** A code that an application gave to `close`. */
type ApplicationCode = string & Record<never, never>

/** Why a session ended: the same for `conn.closed`, `onDisconnect` and rejected calls. */
export interface Reason {
  /** One of netref's codes, or the code that this side or the peer gave to `close`. */
  readonly code: ReasonCode | ApplicationCode
  /** The reason in words. */
  readonly message: string
  /** The error that caused the end on this side. It is not sent. */
  readonly cause?: unknown
  /** Time that the client should wait before it tries again, in seconds, as in HTTP's `Retry-After`. */
  readonly retryAfter?: number | undefined
}

/** Why the callee rejected a call, other than by an error of the method. */
export type RejectionCode =
  | 'not-exposed'
  | 'not-callable'
  | 'released'
  | 'unsendable'
  | 'unreadable'
  | 'limit'
  | 'may-have-run'

/**
 * An error of netref itself, with a `code`.
 *
 * @example
 * try {
 *   await root.secret()
 * } catch (error) {
 *   if (error instanceof NetrefError && error.code === 'not-exposed') console.log('not for us')
 * }
 */
export class NetrefError extends Error {
  /** Name of the class. */
  override name = 'NetrefError'
  /** What went wrong, for programs: `not-exposed`, `released`, `limit`, a code of `ReasonCode`, … */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(toPrintable(message), options)
    this.code = code
  }
}

/** The member is not exposed to this peer or missing (`not-exposed`), or cannot be called (`not-callable`). */
export class ExposureError extends NetrefError {
  /** Name of the class. */
  override name = 'ExposureError'
}

/** The netref was released, by `Netref.release` or `using`. */
export class ReleasedError extends NetrefError {
  /** Name of the class. */
  override name = 'ReleasedError'
}

/** A call exceeded a limit of `limits`. */
export class LimitError extends NetrefError {
  /** Name of the class. */
  override name = 'LimitError'
}

/** The same, because too much waits for the peer already. `LimitError` is its public class. */
export class BacklogError extends LimitError {}

/** The session ended before the call was answered. `code` is the reason's. */
export class SessionEndedError extends NetrefError {
  /** Name of the class. */
  override name = 'SessionEndedError'
  /** Why the session ended. */
  readonly reason: Reason
  /** Whether the call was sent, so that it may have run; `false` means that it did not run. */
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

/** The call was retried in a new session, and not run: it may have run in the one before, and is not idempotent. */
export class MayHaveRunError extends NetrefError {
  /** Name of the class. */
  override name = 'MayHaveRunError'
  /** Always `true`. */
  readonly mayHaveRun = true
}

/** Notes on the error of a cancelled call whether it may have run. One error may be that of several calls. */
export function markMayHaveRun(error: unknown, mayHaveRun: boolean): void {
  try {
    if (!isInstanceOf('Error', error)) return
    const value = mayHaveRun || ('mayHaveRun' in error && error.mayHaveRun === true)
    Object.defineProperty(error, 'mayHaveRun', { value, configurable: true, writable: true })
  } catch {
    // The reason of a user's signal may be frozen.
  }
}

/** A value cannot be sent. The message has its path in the arguments, what it is, and what to do. */
export class UnsendableError extends TypeError {
  /** Name of the class. */
  override name = 'UnsendableError'
  /** Always `unsendable`. */
  readonly code = 'unsendable'

  constructor(message: string) {
    super(toPrintable(message))
  }
}

/** One fault of the arguments of a call. */
export interface Issue {
  /** The message of the schema. */
  readonly message: string
  /** The index of the argument, then the keys that lead to the fault. */
  readonly path: readonly (string | number)[]
}

/** The arguments of a call do not match its schema. The method did not run. */
export class ArgumentsError extends TypeError {
  /** Name of the class. */
  override name = 'ArgumentsError'
  /** Always `invalid-arguments`. */
  readonly code = 'invalid-arguments'
  /** What is wrong, at most 20 faults. */
  readonly issues: readonly Issue[]

  constructor(message: string, issues: readonly Issue[]) {
    super(toPrintable(message))
    this.issues = issues
  }
}

/** The reason with a printable message: one line, of bounded length. */
export function printableReason(reason: Reason): Reason {
  const message = toPrintable(reason.message)
  return message === reason.message ? reason : { ...reason, message }
}

/** The reason for the end of a session by an error. */
export function reasonForError(error: unknown): Reason {
  if (error instanceof ProtocolError) return { code: error.code, message: `it received ${error.message}` }
  return { code: 'internal', message: 'an internal error of netref', cause: error }
}

/** A violation of the protocol. It ends the session, and does not leave it. */
export class ProtocolError extends Error {
  override name = 'ProtocolError'
  readonly code: 'protocol' | 'limit' | 'version'

  constructor(message: string, code: 'protocol' | 'limit' | 'version' = 'protocol') {
    super(toPrintable(message))
    this.code = code
  }
}

/** The peer knows the limit, and no single call could be rejected: this ends the session. */
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

/** Reads stacks. Until its stack is read, an error keeps the functions on it alive, and with them the present message. */
export function materializeStacks(error: unknown): void {
  try {
    for (
      let current = error, depth = 0;
      isInstanceOf('Error', current) && depth < MAX_CAUSE_DEPTH;
      current = current.cause, depth++
    )
      void current.stack
  } catch {
    // A user's `Error.prepareStackTrace` may throw.
  }
}
/** Causes may form a cycle. */
const MAX_CAUSE_DEPTH = 16

/** The caller's error for a rejection. `call` is the call as the caller wrote it, e.g. `root.open("x")`. */
export function rejectionError(code: RejectionCode, call: string, message: string): Error {
  return rejectionErrors[code](`${call}: ${message}`)
}

const CLOSE_CODE = /^[a-z][a-z0-9-]{0,31}$/

/** Whether an application may end a session with a code: one that it cannot mistake for another of netref's. */
export const isCloseCode = (code: string): boolean =>
  code === 'closed' ||
  code === 'revoked' ||
  (CLOSE_CODE.test(code) && !isReasonCode(code) && !isRejectionCode(code) && code !== 'invalid-arguments')

export function isRejectionCode(code: unknown): code is RejectionCode {
  return typeof code === 'string' && Object.hasOwn(rejectionErrors, code)
}

/** Thrown to reject one call. The session replies with a `refused` message. It is no Error, as it needs no stack. */
export class CallRejection {
  readonly message: string

  constructor(
    readonly code: RejectionCode,
    message: string
  ) {
    this.message = toPrintable(message)
  }
}

/** Thrown to fail what a failed result is passed to, with the error of that result. It is no Error, as it needs no stack. */
export class FailedAnswer {
  constructor(
    readonly error: unknown,
    /** Whether the stack of the error has no frames of this side. */
    readonly lacksLocalStack: boolean
  ) {}
}

/** The rejection of a call whose error cannot be encoded, for a reason that is no error of netref. */
export const UNSENDABLE_ERROR = new CallRejection(
  'unsendable',
  'the method threw a value that cannot be serialized'
)

/** The rejection of a call whose result or error cannot be sent; undefined for other failures. */
export function toCallRejection(failure: unknown): CallRejection | undefined {
  if (failure instanceof LimitError) return new CallRejection('limit', failure.message)
  return failure instanceof UnsendableError ? new CallRejection('unsendable', failure.message) : undefined
}

const TRANSPORT_LOSS_CODES: readonly string[] = ['connection-lost', 'unreachable', 'unavailable']

/** Whether only the transport failed, so that the session may resume; any other reason ends the session. */
export const isTransportLoss = ({ code }: Reason): boolean => TRANSPORT_LOSS_CODES.includes(code)

/** Whether the server rejected the client: it has processed nothing that this transport sent. */
export const isRefusedByServer = ({ code }: Reason): boolean =>
  code === 'unavailable' || code === 'unauthorized'
