// The close reason as text, which a transport sends with its close. It fits into the close frame of a WebSocket.
//
//   code: message                 e.g. `closed: close() was called`
//   code seconds: message         if the client may try again after that time
import { isReasonCode, type Reason } from '../errors.js'
import { TextEncoder } from '../util/platform.js'

/** Longest text of a WebSocket close frame (RFC 6455 §5.5). */
const MAX_CLOSE_REASON_BYTES = 123

const CLOSE_REASON_PATTERN = /^([\w-]+)(?: (\d{1,9}(?:\.\d{1,9})?))?(?:: (.*))?$/s

/** The text of a reason, e.g. `closed: close() was called`, cut to the longest allowed on a character boundary. */
export function formatCloseReason({ code, message, retryAfter }: Reason): string {
  const text = `${code}${retryAfter === undefined ? '' : ` ${retryAfter}`}: ${message}`
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_CLOSE_REASON_BYTES))
  return text.slice(0, read)
}

/** The reason that the other end, called `peerName` in messages, gave for its close; undefined for any other text. */
export function parseCloseReason(text: string, peerName: string): Reason | undefined {
  const [, sentCode, seconds, message = ''] = text.match(CLOSE_REASON_PATTERN) ?? []
  if (!isReasonCode(sentCode)) return undefined
  // An internal error of the peer is not one of this side.
  const code = sentCode === 'internal' ? 'peer-failed' : sentCode
  const reason = { code, message: `${peerName} ended the session: ${message}` } as const
  return seconds === undefined ? reason : { ...reason, retryAfter: Number(seconds) }
}
