// What one end tells the other when it closes: why, as text, in the little room that the close of a WebSocket has.
//
//   code: message                 e.g. `closed: close() was called`
//   code seconds: message         where the client is to try again, after that time
import { isReasonCode, type Reason } from '../errors.js'
import { TextEncoder } from '../util/platform.js'

/** What a WebSocket allows for the text of a close, in bytes. */
const MAX_CLOSE_REASON_BYTES = 123

const CLOSE_REASON_PATTERN = /^([\w-]+)(?: (\d{1,9}(?:\.\d{1,9})?))?(?:: (.*))?$/s

/** `closed: close() was called`, cut to the room there is on a character boundary. */
export function formatCloseReason({ code, message, retryAfter }: Reason): string {
  const text = `${code}${retryAfter === undefined ? '' : ` ${retryAfter}`}: ${message}`
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_CLOSE_REASON_BYTES))
  return text.slice(0, read)
}

/** Why the other end, called `peer`, closed; undefined if that is not what the text says. */
export function parseCloseReason(text: string, peerName: string): Reason | undefined {
  const [, sentCode, seconds, message = ''] = text.match(CLOSE_REASON_PATTERN) ?? []
  if (!isReasonCode(sentCode)) return undefined
  // A fault of the peer's is none of this side.
  const code = sentCode === 'internal' ? 'peer-failed' : sentCode
  const reason = { code, message: `${peerName} ended the session: ${message}` } as const
  return seconds === undefined ? reason : { ...reason, retryAfter: Number(seconds) }
}
