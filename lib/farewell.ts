// What one end tells the other when it closes: why, as text, in the little room that the close of a WebSocket has.
import { isReasonCode, type Reason } from './errors.js'

/** What a WebSocket allows for the text of a close, in bytes. */
const ROOM = 123

/** `closed: close() was called`, cut to the room there is on a character boundary. */
export function formatFarewell({ code, message }: Reason): string {
  const text = `${code}: ${message}`
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(ROOM))
  return text.slice(0, read)
}

/** Why the other end, called `peer`, closed; undefined if that is not what the text says. */
export function parseFarewell(text: string, peer: string): Reason | undefined {
  const [code, said = ''] = text.split(/: (.*)/s)
  return isReasonCode(code) ? { code, message: `${peer} ended the session: ${said}` } : undefined
}
