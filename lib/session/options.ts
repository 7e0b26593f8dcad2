// Options that both ends of a session have, and their defaults.

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
import type { IdempotencyOptions } from './idempotency.js'
import { RejectionReporter } from './refusals.js'

export interface CommonOptions extends ExposureOptions, Before {
  /** Limits on what the peer may send, and make this side hold or do. Those not named keep their defaults. */
  readonly limits?: { readonly [K in keyof Limits]?: Limits[K] | undefined } | undefined
  /**
   * Sends the stacks of errors along; the other side frames them under its own.
   *
   * @default false
   */
  readonly exposeStacks?: boolean | undefined
  /**
   * Told of failures nobody awaits: of a hook or a listener, and of a call that was neither awaited nor chained on.
   * A refusal of a peer's one-way call that comes again within ten seconds is counted, and all are told as one error with
   * the code `repeated`.
   *
   * @default one line by `console.error`
   */
  readonly onError?: ((error: unknown, context: ErrorContext) => void) | undefined
  /**
   * Told of each message that crosses, as one line: `call 5 root.add [1,2]`.
   *
   * @default what prints it, where the environment sets `NETREF_DEBUG`
   */
  readonly trace?: Trace | undefined
}

export const COMMON_OPTIONS: OptionTypes<CommonOptions> = {
  exposedPrefix: 'a string',
  allowPublicAttrs: 'a boolean',
  allowSetAttrs: 'a boolean',
  allowDeleteAttrs: 'a boolean',
  describe: 'a boolean',
  limits: 'an object',
  before: 'a function',
  exposeStacks: 'a boolean',
  onError: 'a function',
  trace: 'a function'
}

/** The options of whoever serves, over whatever that is. */
export const SERVING_OPTIONS: OptionTypes<CommonOptions & IdempotencyOptions> = {
  ...COMMON_OPTIONS,
  idempotencyStore: 'an object'
}

/** How both ends see to it that the other one is there. */
export interface LivenessOptions {
  /**
   * Where nothing comes for so long, in ms, the other side is asked whether it is alive; where nothing comes for so
   * long again, its socket is given up. 0 never asks.
   *
   * @default 15 000
   */
  readonly heartbeat?: number | undefined
}
export interface Liveness {
  readonly heartbeat: number
}

export const livenessOf = ({ heartbeat = 15_000 }: LivenessOptions): Liveness => ({
  heartbeat: checkMs('heartbeat', heartbeat)
})

/** The common options, filled in. */
export interface Settings {
  readonly exposure: ExposureSettings
  readonly limits: Limits
  readonly exposeStacks: boolean
  readonly onError: (error: unknown, context: ErrorContext) => void
  /** The refusals of the peers' one-way calls: `onError` is told of them. */
  readonly rejections: RejectionReporter
  readonly trace: Trace | undefined
}

/** @throws TypeError or RangeError naming the option that cannot be meant. */
export function settingsOf(options: CommonOptions): Settings {
  const {
    limits = {},
    before,
    exposeStacks = false,
    onError = logError,
    trace = traceFromEnvironment()
  } = options
  const {
    exposedPrefix = DEFAULT_EXPOSURE.exposedPrefix,
    allowPublicAttrs = DEFAULT_EXPOSURE.allowPublicAttrs,
    allowSetAttrs = DEFAULT_EXPOSURE.allowSetAttrs,
    allowDeleteAttrs = DEFAULT_EXPOSURE.allowDeleteAttrs,
    describe = DEFAULT_EXPOSURE.describe
  } = options
  if (typeof exposedPrefix !== 'string' || exposedPrefix === '') {
    throw new TypeError(
      'exposedPrefix: an empty prefix would expose everything; allowPublicAttrs exposes public members'
    )
  }
  const report = (error: unknown, context: ErrorContext = { session: undefined }) => {
    runHook(
      () => onError(error, context),
      failure => console.error(`netref: onError itself failed: ${toPrintable(safeString(failure))}`)
    )
  }
  const filledIn = limitsOf(limits)
  return {
    exposure: {
      exposedPrefix,
      allowPublicAttrs,
      allowSetAttrs,
      allowDeleteAttrs,
      describe,
      before,
      limits: filledIn
    },
    limits: filledIn,
    exposeStacks,
    trace: trace && ((direction, message) => runHook(() => trace(direction, message), report)),
    onError: report,
    rejections: new RejectionReporter(report)
  }
}

/** An option given as undefined is as good as not given. */
function limitsOf(given: NonNullable<CommonOptions['limits']>): Limits {
  const limits = { ...DEFAULT_LIMITS }
  for (const [name, limit] of Object.entries(given)) {
    if (limit !== undefined) limits[checkLimit(name, limit)] = limit
  }
  return limits
}

function checkLimit(name: string, limit: number): keyof Limits {
  if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
    throw new TypeError(
      `limits.${name}: there is no such limit${didYouMean(name, Object.keys(DEFAULT_LIMITS))}`
    )
  }
  const mayBeInfinite = name === 'callsPerSecond' || name === 'sessionsPerAddress'
  const isInfinite = mayBeInfinite && limit === Number.POSITIVE_INFINITY
  const minimum = name === 'regExpLength' ? 0 : 1
  if (!isInfinite && (!Number.isSafeInteger(limit) || limit < minimum)) {
    throw new RangeError(
      `limits.${name}: ${describeValue(limit)} is not a ${minimum === 1 ? 'positive ' : ''}whole number`
    )
  }
  if ((name === 'jsonBytes' || name === 'frameBytes') && limit < MIN_FRAME_BYTES) {
    throw new RangeError(
      `limits.${name}: ${limit} is less than ${MIN_FRAME_BYTES}, which every side has to take`
    )
  }
  return name as keyof Limits
}

function logError(error: unknown, { call }: ErrorContext): void {
  const text = safeString(error)
  const line = call ? `${call} failed and nobody awaited it: ${text.replace(`${call}: `, '')}` : text
  console.error(`netref: ${toPrintable(line)}`)
}
