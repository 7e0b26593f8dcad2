// What one end tells the other when it closes: why, as text, in the little room that the close of a WebSocket has.
//
//   code: message                 e.g. `closed: close() was called`
//   code seconds: message         where the client is to try again, after that time
import { isReasonCode, type Reason } from '../errors.js'
import { TextEncoder } from '../util/platform.js'

/** What a WebSocket allows for the text of a close, in bytes. */
const ROOM = 123

const FAREWELL = /^([\w-]+)(?: (\d{1,9}(?:\.\d{1,9})?))?(?:: (.*))?$/s

/** `closed: close() was called`, cut to the room there is on a character boundary. */
export function formatFarewell({ code, message, retryAfter }: Reason): string {
  const text = `${code}${retryAfter === undefined ? '' : ` ${retryAfter}`}: ${message}`
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(ROOM))
  return text.slice(0, read)
}

/** Why the other end, called `peer`, closed; undefined if that is not what the text says. */
export function parseFarewell(text: string, peer: string): Reason | undefined {
  const [, told, seconds, said = ''] = text.match(FAREWELL) ?? []
  if (!isReasonCode(told)) return undefined
  // A fault of the peer's is none of this side.
  const code = told === 'internal' ? 'peer-failed' : told
  const reason = { code, message: `${peer} ended the session: ${said}` } as const
  return seconds === undefined ? reason : { ...reason, retryAfter: Number(seconds) }
}
