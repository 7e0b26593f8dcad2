// Options of single calls: cancellation, timeout, read-ahead window and idempotency key.

import { markConfidential } from '../codec/confidential-errors.js'
import { isIdempotencyKey } from '../protocol/parse-message.js'
import { clock } from '../util/clock.js'
import { MAX_TIMER_MS } from '../util/deadline.js'
import { describeValue } from '../util/describe.js'
import { isInstanceOf } from '../util/realms.js'
import { addSharedListener } from '../util/shared-listener.js'
import type { Signal } from '../util/web-types.js'

/** Options of the calls made through `Netref.with(ref, options)`. */
export interface CallOptions {
  /**
   * Cancels the call. If it aborts, the call rejects immediately with `signal.reason`. A call that is not sent yet does
   * not run. Otherwise the owner is notified (`callSignal()`). If the reason is an error, its `mayHaveRun` says which.
   */
  readonly signal?: Signal | undefined
  /**
   * Maximum time to wait for the reply, in ms. After it the call rejects with a `TimeoutError`, and is cancelled as
   * with `signal`. A call that `renew` retries keeps the time that is left. `Infinity` switches a default timeout off.
   *
   * @default the `timeout` of `connect` or `serve`
   */
  readonly timeout?: number | undefined
  /**
   * Maximum number of items that the owner produces and the caller has not consumed, if the result is an iterator or a
   * stream. An item is consumed when the next one is requested. With 1, a generator runs no further than the item that
   * is being read.
   *
   * @default 1024, and at most 64 KiB or what the connection carries in a round trip
   */
  readonly window?: number | undefined
  /**
   * Idempotency key of the call, 1 to 200 characters. If the server has an `idempotencyStore`, a call that is repeated
   * with the same key does not run again: it gets the first outcome. `renew` uses the key, too. Only for calls and
   * constructions from the root with data as arguments.
   *
   * @example
   * await Netref.with(conn.root.pay, { idempotencyKey: crypto.randomUUID() })(42)
   */
  readonly idempotencyKey?: string | undefined
}

/** @throws TypeError for an invalid option, with its name */
export function checkCallOptions(options: CallOptions): void {
  const { signal, timeout, window, idempotencyKey } = options
  if (signal !== undefined && !isInstanceOf('AbortSignal', signal))
    throw invalidOption('signal', 'an AbortSignal', signal)
  if (timeout !== undefined && timeout !== Number.POSITIVE_INFINITY) {
    if (!(typeof timeout === 'number' && timeout >= 0 && timeout <= MAX_TIMER_MS))
      throw invalidOption('timeout', `a time in ms, of up to ${MAX_TIMER_MS}, or Infinity`, timeout)
  }
  if (window !== undefined && !(Number.isSafeInteger(window) && window > 0))
    throw invalidOption('window', 'a whole number above 0', window)
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey))
    throw invalidOption('idempotencyKey', 'a string of 1 to 200 characters', idempotencyKey)
}

const invalidOption = (name: string, expected: string, value: unknown) =>
  new TypeError(`Netref.with: \`${name}\` must be ${expected}, not ${describeValue(value)}`)

/**
 * Calls `cancel` with the reason when the signal aborts or `remainingMs` are over, whichever comes first. `peer` is the
 * peer that is called, as in `markConfidential`.
 *
 * @returns a function that stops watching
 */
export function watchCancellation(
  { signal, timeout }: CallOptions,
  label: () => string,
  cancel: (reason: unknown) => void,
  peer: object,
  remainingMs = timeout
): () => void {
  const removeListener = signal && addSharedListener(signal, 'abort', () => cancel(signal.reason))
  const hasTimeout = timeout !== undefined && timeout !== Number.POSITIVE_INFINITY
  const onTimeout = () => cancel(timeoutError(label(), timeout!, peer))
  const timer = hasTimeout ? clock.setTimeout(onTimeout, remainingMs) : undefined
  return () => {
    removeListener?.()
    clock.clearTimeout(timer)
  }
}

export const timeoutError = (call: string, timeoutMs: number, peer: object): Error =>
  markConfidential(new DOMException(`${call}: no reply within ${timeoutMs} ms`, 'TimeoutError'), peer)
