// Options that both ends of a session have, and their defaults.
import { LONGEST } from './deadline.js'
import { type Trace, tracer } from './debug.js'
import { attempt } from './events.js'
import { type Exposure, type ExposureOptions, NO_EXPOSURE } from './exposure.js'
import { describe, textOf } from './labels.js'
import { hint, type OptionKinds } from './option-kinds.js'
import type { PeerCall } from './policy.js'
import { printable } from './printable.js'
import { LEAST_FRAME } from './protocol.js'
import { Refusals } from './refusals.js'
import type { ResultOptions } from './results.js'
import type { Session } from './session.js'

/** What a peer may make this side hold or read. */
export interface Limits {
  /**
   * The JSON of one frame, in characters.
   *
   * @default 4 MiB
   */
  readonly jsonBytes: number
  /**
   * One frame with the bytes that go beside the JSON, in bytes.
   *
   * @default 16 MiB
   */
  readonly frameBytes: number
  /**
   * How deep a value may be nested, and how many names a path may have. A call with a longer path rejects.
   *
   * @default 200
   */
  readonly depth: number
  /**
   * How many values of one call, result or item may not be plain JSON: references, Dates, Maps and so on. Two entries of
   * a Map, or members of a Set, are one more; and so is each of the class, the name, the message and the fields of an
   * Error. An iterator or a promise counts as 2, a stream or a signal as 12.
   *
   * @default 10 000
   */
  readonly values: number
  /**
   * Own objects that the peer may hold. A call that would make one more rejects.
   *
   * @default 1 000 000
   */
  readonly exports: number
  /**
   * Netrefs that the peer may make this side hold. A call that would bring one more rejects.
   *
   * @default 1 000 000
   */
  readonly imports: number
  /**
   * Calls of the peer that are under way or whose answers it has not counted. One more rejects.
   *
   * @default 100 000
   */
  readonly pendingCalls: number
  /**
   * Calls of the peer in a second. One more rejects.
   *
   * @default Infinity
   */
  readonly callsPerSecond: number
  /**
   * Bytes that are kept for the peer until it acknowledges them. A call to it that would add more rejects with a
   * `LimitError`. While it has more replies than that to read, its calls wait; at twice as much, late replies are refused.
   *
   * @default 16 MiB
   */
  readonly bufferedBytes: number
  /**
   * How long the peer may go without reading or acknowledging anything while too much is kept for it, in ms.
   *
   * @default 30 000
   */
  readonly pauseMs: number
  /**
   * Digits of a bigint that arrives. A call that brings more rejects.
   *
   * @default 10 000
   */
  readonly bigintDigits: number
  /**
   * Characters of all RegExps that one call, result or item may bring. More reject it. However short, a RegExp may take
   * hours on the text that it is used on, as `/(a+)+$/` does: none is taken until this is raised, for peers that are trusted.
   *
   * @default 0
   */
  readonly regExpLength: number
  /**
   * Sessions a server has at a time, those that wait for their client among them. One more client is refused, with HTTP
   * 503; but one with the address or the identity of a session that waits may have its place.
   *
   * @default 10 000
   */
  readonly sessions: number
  /**
   * Sessions of one address (of a /64, if it is IPv6) that a server has at a time. One more client is refused, with HTTP
   * 503; and where some of them wait for their client, the oldest of these ends for a new one.
   *
   * @default Infinity, but 64 clients for which `authenticate` has not decided
   */
  readonly sessionsPerAddress: number
  /**
   * How long a client of a server may take to say hello, in ms: and `authenticate`, to decide.
   *
   * @default 10 000
   */
  readonly helloMs: number
  /**
   * Bytes of all clients of a server that have not said hello, beyond 8 KiB of each. While there are more, they are read
   * from one after the other; who sends when there are twice as many is cut off.
   *
   * @default 32 MiB
   */
  readonly helloBytes: number
}

/** The size of a message as it is measured by `ws`: text may take three bytes for what is one character. */
export const maxPayload = ({ jsonBytes, frameBytes }: Limits): number => frameBytes + 2 * jsonBytes

/** How often `bufferedBytes` may be kept for a peer that calls and does not read, or whose calls wait. */
export const MOST_KEPT = 2

export const DEFAULT_LIMITS = {
  jsonBytes: 4 << 20,
  frameBytes: 16 << 20,
  depth: 200,
  values: 10_000,
  exports: 1_000_000,
  imports: 1_000_000,
  pendingCalls: 100_000,
  callsPerSecond: Number.POSITIVE_INFINITY,
  bufferedBytes: 16 << 20,
  pauseMs: 30_000,
  bigintDigits: 10_000,
  regExpLength: 0,
  sessions: 10_000,
  sessionsPerAddress: Number.POSITIVE_INFINITY,
  helloMs: 10_000,
  helloBytes: 32 << 20
} satisfies Limits

/** Where a failure that nobody awaits came from. */
export interface ErrorContext {
  readonly session: Session | undefined
  /** The call that failed, as its caller wrote it, e.g. `root.notify("x")`. */
  readonly call?: string | undefined
}

type Primitive = string | number | bigint | boolean | symbol | null
/** What a hook may return that decides by throwing: anything but a promise. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing are what most hooks are
export type AtOnce = void | Primitive | (object & { readonly then?: never })

export interface CommonOptions extends ExposureOptions {
  /** Limits on what the peer may send, and make this side hold or do. Those not named keep their defaults. */
  readonly limits?: { readonly [K in keyof Limits]?: Limits[K] | undefined } | undefined
  /**
   * Decides on, or takes down, all that the peer asks for: told of each call, read and the like before it is done, and
   * at once. What it throws, the peer gets, and nothing is done: netrefs among the arguments are given back then, unless
   * they came in another call, too.
   *
   * @default everything that is exposed may be done
   * @example
   * before(call, session) { audit.write(`${session.identity}: ${call}`) }
   */
  before?(call: PeerCall, session: Session): AtOnce
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

/** @throws RangeError naming the option that is no time */
export function checkMs(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= LONGEST) return ms
  throw new RangeError(`${name}: ${describe(ms)} is not a time in ms, of less than 25 days`)
}

/** Options of the socket of a client in Node, as `ws` and TLS take them. */
export interface SocketOptions {
  /** Headers of the request that opens the socket. */
  readonly headers?: Readonly<Record<string, string | string[]>> | undefined
  /** The `Origin` header. */
  readonly origin?: string | undefined
  /** An `http.Agent` or `https.Agent`, e.g. of a proxy. */
  readonly agent?: object | undefined
  /** How long the handshake may take, in ms. @default 10 000 */
  readonly handshakeTimeout?: number | undefined
  /** Certificates to trust, in PEM. */
  readonly ca?: string | Uint8Array | (string | Uint8Array)[] | undefined
  /** The client's own certificate and its key, in PEM. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  readonly passphrase?: string | undefined
  /** The name the server's certificate has to carry. */
  readonly servername?: string | undefined
  /** @default true */
  readonly rejectUnauthorized?: boolean | undefined
}

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
