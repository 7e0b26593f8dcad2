// The options that both ends of a session have, and their defaults.

import { DEFAULT_EXPOSURE, type ExposureOptions, type ExposureSettings } from '../access/access-control.js'
import type { Before } from '../access/peer-call.js'
import { DEFAULT_LIMITS, type Limits } from '../protocol/limits.js'
import { MIN_FRAME_BYTES } from '../protocol/messages.js'
import { type Trace, traceFromEnvironment } from '../protocol/trace.js'
import type { ErrorContext } from '../types/session.js'
import { checkMs, type OptionTypes } from '../util/check-options.js'
import { describeValue, safeString } from '../util/describe.js'
import { runHook } from '../util/emitter.js'
import { didYouMean } from '../util/nearest.js'
import { toPrintable } from '../util/printable.js'
import type { OnCallError } from './call-errors.js'
import type { IdempotencyOptions } from './idempotency.js'
import { RejectionReporter } from './rejection-reporter.js'

/** Options of both ends of a session: for `serve`, `connect` and `pair`. */
export interface CommonOptions extends ExposureOptions, Before {
  /**
   * Limits on what the peer may send, and on what it may make this side hold or do. Limits that are not named, or are
   * undefined, keep their defaults. An unknown name is a TypeError, and an invalid number is a RangeError.
   *
   * @default see `Limits`
   * @example
   * const server = await serve(Shop, { limits: { depth: 50, values: 1000 } })
   */
  readonly limits?: { readonly [K in keyof Limits]?: Limits[K] | undefined } | undefined
  /**
   * Whether errors are sent with their stacks. The other side appends them to its own stack.
   *
   * @default false
   */
  readonly exposeStacks?: boolean | undefined
  /**
   * Called with each failure that no code awaits: of a hook, of a listener, and of a call that is neither awaited nor
   * chained on. The first refusal of a kind of the peer's one-way calls is reported at once. Those of the next ten
   * seconds are counted, and are reported as one error with the code `repeated`. If `onError` itself fails, this is
   * logged with `console.error`.
   *
   * @default logs one line with `console.error`
   */
  readonly onError?: ((error: unknown, context: ErrorContext) => void) | undefined
  /**
   * Called with each error of this side's code that ends an operation of the peer. It may come from a method, an accessor,
   * a generator, a stream or a promise, or from a result that cannot be sent. `call` names the operation, without arguments. An Error
   * that it returns is sent to the peer instead. If it throws, or returns a promise, `onError` receives that, and the peer
   * a general error. It is not called for rejected calls, nor for those that the peer has cancelled. Failed one-way calls
   * go here and not to `onError`.
   *
   * @default none: only the peer gets the error
   * @example
   * const onCallError: OnCallError = (error, { call }) => {
   *   log.error(`${call} failed`, error)
   *   return new Error('internal error')
   * }
   */
  readonly onCallError?: OnCallError | undefined
  /**
   * Default timeout of this side's calls, in ms: of calls, constructions, reads, and all others that have a reply. A call
   * that returns an iterator or a stream is covered until it has returned it. One-way calls, pings, and the steps of
   * iterators and streams have no timeout. `Netref.with(ref, { timeout })` overrides it, `Infinity` switches it off. A
   * value that is not above 0, or not below 25 days, is a RangeError.
   *
   * @default Infinity
   */
  readonly timeout?: number | undefined
  /**
   * Called with each message that is sent (`→`) or received (`←`), as one line: `call 5 root.add [1,2]`.
   *
   * @default prints the lines if the environment variable `NETREF_DEBUG` is set
   */
  readonly trace?: Trace | undefined
}

export const COMMON_OPTIONS: OptionTypes<CommonOptions> = {
  exposedPrefix: 'a string',
  allowPublicAttrs: 'a boolean',
  allowSetAttrs: 'a boolean',
  allowDeleteAttrs: 'a boolean',
  describe: 'a boolean',
  checkResults: 'a boolean',
  limits: 'an object',
  before: 'a function',
  exposeStacks: 'a boolean',
  onError: 'a function',
  onCallError: 'a function',
  timeout: '',
  trace: 'a function'
}

/** The options of a serving side, over any transport. */
export const SERVING_OPTIONS: OptionTypes<CommonOptions & IdempotencyOptions> = {
  ...COMMON_OPTIONS,
  idempotencyStore: 'an object'
}

/** How both ends detect that the other one is gone. */
export interface LivenessOptions {
  /**
   * Interval of the heartbeat, in ms. If nothing arrives for one interval, the other side is asked for an
   * acknowledgement. If nothing arrives for another interval, the transport is closed. 0 disables the heartbeat. A value
   * that is not a time of less than 25 days is a RangeError.
   *
   * @default 15 000
   */
  readonly heartbeat?: number | undefined
}
export interface Liveness {
  readonly heartbeat: number
}

/** @param call the function that takes the options, for error texts */
export const livenessOf = ({ heartbeat = 15_000 }: LivenessOptions, call: string): Liveness => ({
  heartbeat: checkMs(`${call}: heartbeat`, heartbeat)
})

/** The common options, with defaults for those that are not given. */
export interface Settings {
  readonly exposure: ExposureSettings
  readonly limits: Limits
  readonly exposeStacks: boolean
  /** Default timeout of calls in ms; Infinity for none. */
  readonly timeout: number
  readonly onError: (error: unknown, context: ErrorContext) => void
  readonly onCallError: OnCallError | undefined
  /** Reports the refusals of the peers' one-way calls to `onError`. */
  readonly rejections: RejectionReporter
  readonly trace: Trace | undefined
}

/**
 * @param call the function that takes the options, for error texts
 * @throws TypeError or RangeError that names the invalid option
 */
export function settingsOf(options: CommonOptions, call: string): Settings {
  const {
    limits = {},
    before,
    exposeStacks = false,
    onError = logError,
    onCallError,
    timeout = Number.POSITIVE_INFINITY,
    trace = traceFromEnvironment()
  } = options
  const {
    exposedPrefix = DEFAULT_EXPOSURE.exposedPrefix,
    allowPublicAttrs = DEFAULT_EXPOSURE.allowPublicAttrs,
    allowSetAttrs = DEFAULT_EXPOSURE.allowSetAttrs,
    allowDeleteAttrs = DEFAULT_EXPOSURE.allowDeleteAttrs,
    describe = DEFAULT_EXPOSURE.describe,
    checkResults = DEFAULT_EXPOSURE.checkResults
  } = options
  if (typeof exposedPrefix !== 'string' || exposedPrefix === '') {
    throw new TypeError(
      `${call}: exposedPrefix: an empty prefix would expose everything; allowPublicAttrs exposes public members`
    )
  }
  const report = (error: unknown, context: ErrorContext = { session: undefined }) => {
    runHook(
      () => onError(error, context),
      failure => console.error(`netref: onError itself failed: ${toPrintable(safeString(failure))}`)
    )
  }
  const filledIn = limitsOf(limits, call)
  return {
    exposure: {
      exposedPrefix,
      allowPublicAttrs,
      allowSetAttrs,
      allowDeleteAttrs,
      describe,
      checkResults,
      before,
      limits: filledIn
    },
    limits: filledIn,
    exposeStacks,
    timeout: checkTimeout(`${call}: timeout`, timeout),
    trace: trace && ((direction, message) => runHook(() => trace(direction, message), report)),
    onError: report,
    onCallError,
    rejections: new RejectionReporter(report)
  }
}

function checkTimeout(label: string, timeout: number): number {
  if (timeout === Number.POSITIVE_INFINITY) return timeout
  if (timeout === 0) throw new RangeError(`${label}: with 0 every call would fail; Infinity means no timeout`)
  return checkMs(label, timeout)
}

/** A limit that is undefined counts as not given. */
function limitsOf(given: NonNullable<CommonOptions['limits']>, call: string): Limits {
  const limits = { ...DEFAULT_LIMITS }
  for (const [name, limit] of Object.entries(given)) {
    if (limit !== undefined) limits[checkLimit(name, limit, `${call}: limits.${name}`)] = limit
  }
  return limits
}

/** @param label the call and the limit, for error texts */
function checkLimit(name: string, limit: number, label: string): keyof Limits {
  if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
    throw new TypeError(`${label}: there is no such limit${didYouMean(name, Object.keys(DEFAULT_LIMITS))}`)
  }
  const mayBeInfinite = name === 'callsPerSecond' || name === 'sessionsPerAddress'
  const isInfinite = mayBeInfinite && limit === Number.POSITIVE_INFINITY
  const minimum = name === 'regExpLength' ? 0 : 1
  if (!isInfinite && (!Number.isSafeInteger(limit) || limit < minimum)) {
    throw new RangeError(
      `${label}: ${describeValue(limit)} is not a ${minimum === 1 ? 'positive ' : ''}whole number`
    )
  }
  if ((name === 'jsonBytes' || name === 'frameBytes') && limit < MIN_FRAME_BYTES) {
    throw new RangeError(
      `${label}: ${limit} is less than ${MIN_FRAME_BYTES}, the minimum that each side must accept`
    )
  }
  return name as keyof Limits
}

function logError(error: unknown, { call }: ErrorContext): void {
  const text = safeString(error)
  const line = call ? `${call} failed and nobody awaited it: ${text.replace(`${call}: `, '')}` : text
  console.error(`netref: ${toPrintable(line)}`)
}
