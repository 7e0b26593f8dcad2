// Calls with a key: each runs once, and whoever makes it again is given what came of it the first time.

import { decode } from '../codec/decode.js'
import { type EncodedData, encodeData } from '../codec/encoded-data.js'
import type { ReferenceDecoder, ReferenceEncoder } from '../codec/types.js'
import { CallRejection, LimitError, type RejectionCode, toCallRejection } from '../errors.js'
import { type Annotations, formatRejection, formatReply, Op } from '../protocol/messages.js'
import { TextEncoder } from '../util/platform.js'
import type {
  StoredResult as IdempotencyRecord,
  ResultStore as IdempotencyStore
} from './idempotency-store.js'
import { identityText } from './identity.js'
import { MemoryIdempotencyStore } from './memory-idempotency-store.js'

export interface IdempotencyOptions {
  /**
   * Where it is kept what came of clients' calls with a key (`Netref.with(fn, { idempotencyKey })`): a call made again is answered
   * with that, and does not run. A key counts for an identity and a path; without an identity (`authenticate`) that is
   * data, for one session.
   *
   * @default keys mean nothing
   */
  readonly idempotencyStore?: IdempotencyStore | undefined
}

/** What was asked under a key. */
export interface IdempotentRequest {
  readonly path: readonly unknown[]
  /** Its JSON, as it came. */
  readonly operationJson: string
  /** Whether it may have been carried out before. */
  readonly retry: boolean
}

type CallOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown }
interface UnstoredOutcome {
  readonly requestDigest: string
  readonly outcome: CallOutcome
  readonly bytes: number
}
interface RunningCall {
  readonly requestDigest: string
  readonly done: Promise<void>
}

/** The JSON of an outcome that is kept for other sessions, in characters. */
const MAX_STORED_REPLY_CHARS = 65_536
/** How long calls of nobody in particular are known in their session, in ms, and what they take up there, in bytes. */
const ANONYMOUS_TTL_MS = 300_000
const ANONYMOUS_MAX_BYTES = 8 << 20
/** Outcomes of a session that only it can be told again: what they take up there, in bytes. */
const MAX_UNSTORED_BYTES = 4 << 20
/** What such an outcome weighs at least; a reference in it; and what a character of its JSON stands for. */
const OUTCOME_BYTES = 512
const REFERENCE_BYTES = 4096
const BYTES_PER_CHAR = 8

/** Calls under way, by store: sessions of one identity wait for each other. */
const runningByStore = new WeakMap<IdempotencyStore, Map<string, RunningCall>>()

/** What a session does about calls with a key: only who serves brings the code for that. */
export type IdempotentCallsFactory = (...session: SessionDependencies) => IdempotentCalls
type SessionDependencies = [
  identity: unknown,
  references: ReferenceEncoder & ReferenceDecoder,
  report: (error: unknown) => void
]

/** @throws TypeError for what is no store */
export function idempotentCallsFactoryOf({
  idempotencyStore
}: IdempotencyOptions): IdempotentCallsFactory | undefined {
  if (!idempotencyStore) return undefined
  if (typeof idempotencyStore.get === 'function' && typeof idempotencyStore.set === 'function')
    return (...session) => new IdempotentCalls(idempotencyStore, ...session)
  throw new TypeError('idempotencyStore: a store has `get` and `set`; use `new MemoryIdempotencyStore()`')
}

/** The calls with a key of one session's peer. */
export class IdempotentCalls {
  readonly #running: Map<string, RunningCall>
  /** What came of calls that is not data, and so is for this session alone. */
  readonly #unstored = new Map<string, UnstoredOutcome>()
  #unstoredBytes = 0
  readonly #store: IdempotencyStore
  /** Whose keys these are: a digest. */
  readonly #owner: Promise<string>

  constructor(
    store: IdempotencyStore,
    identity: unknown,
    private readonly references: ReferenceEncoder & ReferenceDecoder,
    private readonly report: (error: unknown) => void
  ) {
    const known = identity === undefined ? undefined : identityText(identity)
    // Nobody else can ever ask for what came of the calls of nobody in particular: it goes with the session.
    this.#store =
      known === undefined ? new MemoryIdempotencyStore(ANONYMOUS_TTL_MS, ANONYMOUS_MAX_BYTES) : store
    this.#owner = sha256Hex(known ?? '')
    this.#running = runningByStore.get(this.#store) ?? new Map()
    runningByStore.set(this.#store, this.#running)
  }

  /**
   * What comes of a call, or came of it when it was made under this key before. `run` is told whether the call may have
   * been carried out before without a trace in the store.
   */
  async runOnce(key: string, asked: IdempotentRequest, run: (again: boolean) => unknown): Promise<unknown> {
    const owner = await this.#owner
    const [name, request] = await Promise.all([
      sha256Hex(JSON.stringify([owner, asked.path, key])),
      sha256Hex(asked.operationJson)
    ])
    for (let other = this.#running.get(name); other; other = this.#running.get(name)) {
      checkSameRequest(other, request)
      await other.done
    }
    const told = this.#unstored.get(name)
    if (told) return unwrap(checkSameRequest(told, request).outcome)
    let finish!: () => void
    this.#running.set(name, { requestDigest: request, done: new Promise(resolve => (finish = resolve)) })
    try {
      const stored = await this.#store.get(name)
      if (stored) return this.#replay(checkSameRequest(stored, request))
      await this.#recordStart(name, request, owner)
      const settled = await outcomeOf(() => run(asked.retry && this.#store.durable !== true))
      await this.#recordOutcome(name, request, owner, settled)
      return unwrap(settled)
    } finally {
      this.#running.delete(name)
      finish()
    }
  }

  async #recordStart(name: string, request: string, owner: string): Promise<void> {
    try {
      await this.#store.set(name, { requestDigest: request }, owner)
    } catch (error) {
      throw error instanceof LimitError ? new CallRejection('limit', error.message) : error
    }
  }

  /** The call has run, whatever becomes of this. */
  async #recordOutcome(name: string, request: string, owner: string, settled: CallOutcome): Promise<void> {
    const kept = this.#formatReply(settled)
    if (typeof kept === 'number')
      return this.#keepUnstored(name, { requestDigest: request, outcome: settled, bytes: kept })
    try {
      await this.#store.set(name, { requestDigest: request, reply: kept }, owner)
    } catch (error) {
      this.report(error)
    }
  }

  /** Of the oldest it is known that they have run, and no more: who asks again is told so. */
  #keepUnstored(name: string, told: UnstoredOutcome): void {
    this.#unstored.set(name, told)
    this.#unstoredBytes += told.bytes
    for (const [oldest, { bytes }] of this.#unstored) {
      if (this.#unstoredBytes <= MAX_UNSTORED_BYTES) return
      this.#unstored.delete(oldest)
      this.#unstoredBytes -= bytes
    }
  }

  /** An outcome as the reply to no call in particular; where it is not data, or a lot, what it takes up, in bytes. */
  #formatReply(settled: CallOutcome): string | number {
    if (settled.ok && settled.value === undefined) return formatReply(Op.result, 0)
    if (!settled.ok && settled.error instanceof CallRejection)
      return formatRejection(0, settled.error.code, settled.error.message)
    let data: EncodedData
    try {
      data = encodeData(settled.ok ? settled.value : settled.error, 'result', this.references.encodeLimits)
    } catch (error) {
      // It is answered with what keeps it from being sent.
      const { code, message } =
        toCallRejection(error) ?? new CallRejection('unsendable', 'it failed with what cannot be sent')
      return formatRejection(0, code, message)
    }
    const { json, bytes, isData } = data
    if (isData && bytes.length === 0 && json.length <= MAX_STORED_REPLY_CHARS)
      return formatReply(settled.ok ? Op.result : Op.error, 0, json)
    const beside = bytes.reduce((sum, { byteLength }) => sum + byteLength, 0)
    return OUTCOME_BYTES + (isData ? 0 : REFERENCE_BYTES) + json.length * BYTES_PER_CHAR + beside
  }

  #replay({ reply }: IdempotencyRecord): unknown {
    if (reply === undefined)
      throw new CallRejection(
        'may-have-run',
        'it began under this key before, and what came of it is not known'
      )
    const [op, , raw, more] = JSON.parse(reply) as [number, 0, unknown, unknown]
    if (op === Op.refused) throw new CallRejection(raw as RejectionCode, String(more))
    const value = decode(raw, more as Annotations | undefined, [], this.references)
    if (op === Op.error) throw value
    return value
  }
}

function checkSameRequest<T extends { readonly requestDigest: string }>(known: T, request: string): T {
  if (known.requestDigest === request) return known
  throw new CallRejection(
    'unreadable',
    'its key was used before, with other arguments: each call has a key of its own'
  )
}

async function outcomeOf(run: () => unknown): Promise<CallOutcome> {
  try {
    return { ok: true, value: await run() }
  } catch (error) {
    return { ok: false, error }
  }
}

function unwrap(settled: CallOutcome): unknown {
  if (settled.ok) return settled.value
  throw settled.error
}

async function sha256Hex(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')
}
