// The close reason as text, which a transport sends with its close. It fits into the close frame of a WebSocket.
//
//   code: message                 e.g. `closed: close() was called`
//   code seconds: message         if the client may try again after that time
//   closed/code: message          if an application closed the session with a code of its own
import { isCloseCode, isReasonCode, type Reason } from '../errors.js'
import { TextEncoder } from '../util/platform.js'

/** Longest text of a WebSocket close frame (RFC 6455 §5.5). */
const MAX_CLOSE_REASON_BYTES = 123

/** Created at its first use: some contexts import netref and have no TextEncoder. */
let encoder: { encodeInto(text: string, bytes: Uint8Array): { read: number } } | undefined
/** Overwritten by each text. */
const encoded = new Uint8Array(MAX_CLOSE_REASON_BYTES)

const CLOSE_REASON_PATTERN = /^([\w-]+)(?:\/([\w-]+))?(?: (\d{1,9}(?:\.\d{1,9})?))?(?:: (.*))?$/s

/** The text of a reason, e.g. `closed: close() was called`, cut to the longest allowed on a character boundary. */
export function formatCloseReason({ code, message, retryAfter }: Reason): string {
  const sentCode = isReasonCode(code) ? code : `closed/${code}`
  const text = `${sentCode}${retryAfter === undefined ? '' : ` ${retryAfter}`}: ${message}`
  encoder ??= new TextEncoder()
  const { read } = encoder.encodeInto(text, encoded)
  return text.slice(0, read)
}

/** The reason that the other end, called `peerName` in messages, gave for its close; undefined for any other text. */
export function parseCloseReason(text: string, peerName: string): Reason | undefined {
  const [, sentCode, applicationCode, seconds, message = ''] = text.match(CLOSE_REASON_PATTERN) ?? []
  if (!isReasonCode(sentCode)) return undefined
  // The words of the application are for a person.
  if (sentCode === 'revoked') return { code: sentCode, message }
  if (sentCode === 'closed' && applicationCode !== undefined && isCloseCode(applicationCode))
    return { code: applicationCode, message }
  // An internal error of the peer is not one of this side.
  const code = sentCode === 'internal' ? 'peer-failed' : sentCode
  const reason = { code, message: `${peerName} ended the session: ${message}` } as const
  return seconds === undefined ? reason : { ...reason, retryAfter: Number(seconds) }
}
