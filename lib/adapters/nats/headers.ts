// Reads the headers of a message: NATS does not check what its clients send.
import type { Msg, MsgHdrs } from '@nats-io/transport-node'

/** The headers of a message; undefined if they are malformed. The getter of NATS's package throws then. */
export function headersOf(message: Msg): MsgHdrs | undefined {
  try {
    return message.headers
  } catch {
    return undefined
  }
}
