// Options that both ends of a session have, and their defaults.

import { type Exposure, type ExposureOptions, NO_EXPOSURE } from '../access/access-control.js'
import type { Before } from '../access/peer-call.js'
import { DEFAULT_LIMITS, type Limits } from '../protocol/limits.js'
import { LEAST_FRAME } from '../protocol/messages.js'
import { type Trace, tracer } from '../protocol/trace.js'
import type { ErrorContext } from '../types/session.js'
import { checkMs, hint, type OptionKinds } from '../util/check-options.js'
import { describe, textOf } from '../util/describe.js'
import { attempt } from '../util/emitter.js'
import { printable } from '../util/printable.js'
import type { ResultOptions } from './idempotency.js'
import { Refusals } from './refusals.js'

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

export const COMMON_OPTIONS: OptionKinds<CommonOptions> = {
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
export const SERVING_OPTIONS: OptionKinds<CommonOptions & ResultOptions> = {
  ...COMMON_OPTIONS,
  results: 'an object'
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
  readonly exposure: Exposure
  readonly limits: Limits
  readonly exposeStacks: boolean
  readonly onError: (error: unknown, context: ErrorContext) => void
  /** The refusals of the peers' one-way calls: `onError` is told of them. */
  readonly refusals: Refusals
  readonly trace: Trace | undefined
}

/** @throws TypeError or RangeError naming the option that cannot be meant. */
export function settingsOf(options: CommonOptions): Settings {
  const { limits = {}, before, exposeStacks = false, onError = logError, trace = tracer() } = options
  const {
    exposedPrefix = NO_EXPOSURE.exposedPrefix,
    allowPublicAttrs = NO_EXPOSURE.allowPublicAttrs,
    allowSetAttrs = NO_EXPOSURE.allowSetAttrs,
    allowDeleteAttrs = NO_EXPOSURE.allowDeleteAttrs,
    describe = NO_EXPOSURE.describe
  } = options
  if (typeof exposedPrefix !== 'string' || exposedPrefix === '') {
    throw new TypeError(
      'exposedPrefix: an empty prefix would expose everything; allowPublicAttrs exposes public members'
    )
  }
  const report = (error: unknown, context: ErrorContext = { session: undefined }) => {
    attempt(
      () => onError(error, context),
      failure => console.error(`netref: onError itself failed: ${printable(textOf(failure))}`)
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
    trace: trace && ((direction, message) => attempt(() => trace(direction, message), report)),
    onError: report,
    refusals: new Refusals(report)
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
    throw new TypeError(`limits.${name}: there is no such limit${hint(name, Object.keys(DEFAULT_LIMITS))}`)
  }
  const mayBeEndless = name === 'callsPerSecond' || name === 'sessionsPerAddress'
  const endless = mayBeEndless && limit === Number.POSITIVE_INFINITY
  const least = name === 'regExpLength' ? 0 : 1
  if (!endless && (!Number.isSafeInteger(limit) || limit < least)) {
    throw new RangeError(
      `limits.${name}: ${describe(limit)} is not a ${least === 1 ? 'positive ' : ''}whole number`
    )
  }
  if ((name === 'jsonBytes' || name === 'frameBytes') && limit < LEAST_FRAME) {
    throw new RangeError(`limits.${name}: ${limit} is less than ${LEAST_FRAME}, which every side has to take`)
  }
  return name as keyof Limits
}

function logError(error: unknown, { call }: ErrorContext): void {
  const text = textOf(error)
  const line = call ? `${call} failed and nobody awaited it: ${text.replace(`${call}: `, '')}` : text
  console.error(`netref: ${printable(line)}`)
}
