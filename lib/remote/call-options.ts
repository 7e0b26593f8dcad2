// What a caller asks of single calls: how long to wait, when to give up, how far a producer may run ahead.

import { markConfidential } from '../codec/peer-errors.js'
import { isIdempotencyKey } from '../protocol/parse-message.js'
import { clock } from '../util/clock.js'
import { MAX_TIMER_MS } from '../util/deadline.js'
import { describe } from '../util/describe.js'
import { isInstanceOf } from '../util/realms.js'
import { addSharedListener } from '../util/shared-listener.js'
import type { Signal } from '../util/web-types.js'

/** What holds for the calls made through `Netref.with(ref, options)`. */
export interface CallOptions {
  /**
   * When it aborts, the call rejects with its reason, here at once. A call that has not left does not run; of one that
   * has, its home is told (`callSignal()`). A reason that is an error says which in `mayHaveRun`.
   */
  readonly signal?: Signal | undefined
  /**
   * How long to wait for the answer, in ms: then the call rejects with a `TimeoutError`, and does not run or its home is
   * told, as with `signal`. A call that `renew` makes again has what is left of it.
   *
   * @default no limit: liveness is the link's business
   */
  readonly timeout?: number | undefined
  /**
   * How many items of an iterator or stream that is the result may be made and not consumed: an item is consumed when
   * the next one is asked for. With 1, a generator runs no further than the item that is being read.
   *
   * @default 1024, and no more than 64 KiB, or what the line carries in a round trip
   */
  readonly window?: number | undefined
  /**
   * A name for the call, of up to 200 characters, for calls and constructions from the root with data for arguments:
   * made again under the same key, also by `renew`, the call is answered with its first outcome, and does not run twice,
   * where the server has an `idempotencyStore`.
   *
   * @example
   * await Netref.with(conn.root.pay, { key: crypto.randomUUID() })(42)
   */
  readonly idempotencyKey?: string | undefined
}

/** @throws TypeError for options that cannot be meant, naming them */
export function checkCallOptions(options: CallOptions): void {
  const { signal, timeout, window, idempotencyKey } = options
  if (signal !== undefined && !isInstanceOf('AbortSignal', signal))
    throw invalidOption('signal', 'an AbortSignal', signal)
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0 && timeout <= MAX_TIMER_MS))
    throw invalidOption('timeout', `a time in ms, of up to ${MAX_TIMER_MS}`, timeout)
  if (window !== undefined && !(Number.isSafeInteger(window) && window > 0))
    throw invalidOption('window', 'a whole number above 0', window)
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey))
    throw invalidOption('key', 'a text of 1 to 200 characters', idempotencyKey)
}

const invalidOption = (name: string, expected: string, value: unknown) =>
  new TypeError(`Netref.with: \`${name}\` is ${expected}, not ${describe(value)}`)

/**
 * Calls `stop` with the reason when the signal aborts or the time is over, whichever comes first: in `left` ms. `peer` is
 * who was called, as in `aboutCall`.
 *
 * @returns what takes that back
 */
export function watchCancellation(
  { signal, timeout }: CallOptions,
  label: () => string,
  cancel: (reason: unknown) => void,
  peer: object,
  remainingMs = timeout
): () => void {
  const removeListener = signal && addSharedListener(signal, 'abort', () => cancel(signal.reason))
  const onTimeout = () =>
    cancel(markConfidential(new DOMException(`${label()}: no answer in ${timeout} ms`, 'TimeoutError'), peer))
  const timer = timeout === undefined ? undefined : clock.setTimeout(onTimeout, remainingMs)
  return () => {
    removeListener?.()
    clock.clearTimeout(timer)
  }
}
