// Reads the headers of messages, which anybody may have made.
import type { MsgHdrs } from '@nats-io/transport-node'

/** The header that has the number of a message. */
export const NUMBER_HEADER = 'Netref-Number'

/** The headers that `read` returns. Undefined if there are none, or they are malformed. */
export function tryHeaders(read: () => MsgHdrs | undefined): MsgHdrs | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** The number that its publisher has given to a message, as text; empty if it has none. */
export const numberIn = (headers: MsgHdrs | undefined): string => headers?.get(NUMBER_HEADER) ?? ''

/** The number of a message in a stream, if NATS has published it from there. */
export function sequenceIn(headers: MsgHdrs | undefined, stream: string): number | undefined {
  if (headers?.get('Nats-Stream') !== stream) return undefined
  const sequence = Number(headers.get('Nats-Sequence'))
  return Number.isSafeInteger(sequence) ? sequence : undefined
}

/** Whether somebody has removed a kept value: this is no value. */
export const isRemoval = (headers: MsgHdrs): boolean => headers.has('KV-Operation')
