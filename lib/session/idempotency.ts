// Runs each call with an idempotency key once. A repeated call gets the outcome of the first one.

import { decode } from '../codec/decode.js'
import { type EncodedData, encodeData } from '../codec/encoded-data.js'
import type { ReferenceDecoder, ReferenceEncoder } from '../codec/types.js'
import { RESULT } from '../codec/value-role.js'
import {
  CallRejection,
  LimitError,
  type RejectionCode,
  toCallRejection,
  UNSENDABLE_ERROR
} from '../errors.js'
import { type Annotations, formatRejection, formatReply, Op } from '../protocol/messages.js'
import { TextEncoder } from '../util/platform.js'
import type { IdempotencyRecord, IdempotencyStore } from './idempotency-store.js'
import { identityText } from './identity.js'
import { MemoryIdempotencyStore } from './memory-idempotency-store.js'

/** How a server answers repeated calls. */
export interface IdempotencyOptions {
  /**
   * Stores the outcomes of clients' calls with an idempotency key (`Netref.with(fn, { idempotencyKey })`). A repeated
   * call does not run: it gets the stored outcome. A key is valid for an identity and a path. Without an identity
   * (`authenticate`) that is data, it is valid within one session. An object without `get` and `set` is a TypeError.
   *
   * @default none: keys have no effect
   */
  readonly idempotencyStore?: IdempotencyStore | undefined
}

/** A request with an idempotency key. */
export interface IdempotentRequest {
  readonly path: readonly unknown[]
  /** The JSON of the operation, as received. */
  readonly operationJson: string
  /** Whether the operation may have run before. */
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

/** Maximum JSON of an outcome that is stored for other sessions, in characters. */
const MAX_STORED_REPLY_CHARS = 65_536
/** Lifetime in ms, and maximum bytes, of the records of a session without an identity that is data. */
const ANONYMOUS_TTL_MS = 300_000
const ANONYMOUS_MAX_BYTES = 8 << 20
/** Maximum bytes of the outcomes that only their own session can get again. */
const MAX_UNSTORED_BYTES = 4 << 20
/** Estimated bytes of such an outcome: its minimum, its references, and each character of its JSON. */
const OUTCOME_BYTES = 512
const REFERENCE_BYTES = 4096
const BYTES_PER_CHAR = 8

/** Pending calls, by store: sessions of one identity wait for each other. */
const runningByStore = new WeakMap<IdempotencyStore, Map<string, RunningCall>>()

/** Creates the idempotent calls of a session. Only a serving side imports the code for them. */
export type IdempotentCallsFactory = (...session: SessionDependencies) => IdempotentCalls
type SessionDependencies = [
  identity: unknown,
  references: ReferenceEncoder & ReferenceDecoder,
  report: (error: unknown) => void
]

/** @throws TypeError if `idempotencyStore` is not a store */
export function idempotentCallsFactoryOf({
  idempotencyStore
}: IdempotencyOptions): IdempotentCallsFactory | undefined {
  if (!idempotencyStore) return undefined
  if (typeof idempotencyStore.get === 'function' && typeof idempotencyStore.set === 'function')
    return (...session) => new IdempotentCalls(idempotencyStore, ...session)
  throw new TypeError(
    'serve: idempotencyStore: a store must have `get` and `set`; use `new MemoryIdempotencyStore()`'
  )
}

/** The peer's calls with an idempotency key, in one session. */
export class IdempotentCalls {
  readonly #running: Map<string, RunningCall>
  /** Outcomes that are not data, so only this session can get them again. */
  readonly #unstored = new Map<string, UnstoredOutcome>()
  #unstoredBytes = 0
  readonly #store: IdempotencyStore
  /** Digest of the identity that owns the keys. */
  readonly #owner: Promise<string>

  constructor(
    store: IdempotencyStore,
    identity: unknown,
    private readonly references: ReferenceEncoder & ReferenceDecoder,
    private readonly report: (error: unknown) => void
  ) {
    const known = identity === undefined ? undefined : identityText(identity)
    // Without an identity that is data, no other session can ask for these outcomes: they end with the session.
    this.#store =
      known === undefined ? new MemoryIdempotencyStore(ANONYMOUS_TTL_MS, ANONYMOUS_MAX_BYTES) : store
    this.#owner = sha256Hex(known ?? '')
    this.#running = runningByStore.get(this.#store) ?? new Map()
    runningByStore.set(this.#store, this.#running)
  }

  /**
   * Runs a call, or repeats the outcome of the earlier call with this key. The argument of `run` says whether the call
   * may have run before without a record in the store. `replaceError` returns what the caller is told of an error of the
   * method or of the store; the store gets no other.
   */
  async runOnce(
    key: string,
    request: IdempotentRequest,
    run: (mayHaveRun: boolean) => unknown,
    replaceError: (error: unknown) => unknown
  ): Promise<unknown> {
    const owner = await this.#owner
    const [recordKey, requestDigest] = await Promise.all([
      sha256Hex(JSON.stringify([owner, request.path, key])),
      sha256Hex(request.operationJson)
    ])
    for (let other = this.#running.get(recordKey); other; other = this.#running.get(recordKey)) {
      checkSameRequest(other, requestDigest)
      await other.done
    }
    const unstored = this.#unstored.get(recordKey)
    if (unstored) return unwrap(checkSameRequest(unstored, requestDigest).outcome)
    let finish!: () => void
    this.#running.set(recordKey, { requestDigest, done: new Promise(resolve => (finish = resolve)) })
    try {
      const stored = await this.#getOrRecordStart(recordKey, requestDigest, owner).catch(error => {
        throw replaceError(error)
      })
      if (stored) return this.#replay(checkSameRequest(stored, requestDigest))
      const mayHaveRun = request.retry && this.#store.durable !== true
      const outcome = await outcomeOf(() => run(mayHaveRun), replaceError)
      await this.#recordOutcome(recordKey, requestDigest, owner, outcome)
      return unwrap(outcome)
    } finally {
      this.#running.delete(recordKey)
      finish()
    }
  }

  /** @returns the record of an earlier call; undefined for a new call, whose start is then recorded */
  async #getOrRecordStart(
    recordKey: string,
    requestDigest: string,
    owner: string
  ): Promise<IdempotencyRecord | undefined> {
    const store = this.#store
    const stored = await store.get(recordKey)
    if (stored) return stored
    try {
      if (store.start) return await store.start(recordKey, { requestDigest }, owner)
      await store.set(recordKey, { requestDigest }, owner)
    } catch (error) {
      throw error instanceof LimitError ? new CallRejection('limit', error.message) : error
    }
    return undefined
  }

  /** Records the outcome of a call that has run. A failed write is reported, and does not change the outcome. */
  async #recordOutcome(
    recordKey: string,
    requestDigest: string,
    owner: string,
    outcome: CallOutcome
  ): Promise<void> {
    const reply = this.#formatReply(outcome)
    if (typeof reply === 'number')
      return this.#keepUnstored(recordKey, { requestDigest, outcome, bytes: reply })
    try {
      await this.#store.set(recordKey, { requestDigest, reply }, owner)
    } catch (error) {
      this.report(error)
    }
  }

  /** Keeps an outcome for this session. The oldest ones are dropped: only the start of their calls stays known. */
  #keepUnstored(recordKey: string, unstored: UnstoredOutcome): void {
    this.#unstored.set(recordKey, unstored)
    this.#unstoredBytes += unstored.bytes
    for (const [oldest, { bytes }] of this.#unstored) {
      if (this.#unstoredBytes <= MAX_UNSTORED_BYTES) return
      this.#unstored.delete(oldest)
      this.#unstoredBytes -= bytes
    }
  }

  /** An outcome as a reply with the call number 0. If it is not data, or is too large: its estimated bytes. */
  #formatReply(outcome: CallOutcome): string | number {
    if (outcome.ok && outcome.value === undefined) return formatReply(Op.result, 0)
    if (!outcome.ok && outcome.error instanceof CallRejection)
      return formatRejection(0, outcome.error.code, outcome.error.message)
    let data: EncodedData
    try {
      data = encodeData(outcome.ok ? outcome.value : outcome.error, RESULT, this.references.encodeLimits)
    } catch (error) {
      // The reply is the rejection that says why the outcome cannot be sent.
      const { code, message } = toCallRejection(error) ?? UNSENDABLE_ERROR
      return formatRejection(0, code, message)
    }
    const { json, bytes, isData } = data
    if (isData && bytes.length === 0 && json.length <= MAX_STORED_REPLY_CHARS)
      return formatReply(outcome.ok ? Op.result : Op.error, 0, json)
    const byteCount = bytes.reduce((sum, { byteLength }) => sum + byteLength, 0)
    return OUTCOME_BYTES + (isData ? 0 : REFERENCE_BYTES) + json.length * BYTES_PER_CHAR + byteCount
  }

  #replay({ reply }: IdempotencyRecord): unknown {
    if (reply === undefined)
      throw new CallRejection(
        'may-have-run',
        'an earlier call with this key has started, and its outcome is unknown'
      )
    const [op, , raw, more] = JSON.parse(reply) as [number, 0, unknown, unknown]
    if (op === Op.refused) throw new CallRejection(raw as RejectionCode, String(more))
    const value = decode(raw, more as Annotations | undefined, [], this.references)
    if (op === Op.error) throw value
    return value
  }
}

function checkSameRequest<T extends { readonly requestDigest: string }>(
  earlier: T,
  requestDigest: string
): T {
  if (earlier.requestDigest === requestDigest) return earlier
  throw new CallRejection(
    'unreadable',
    'the key was used before, with other arguments: use another key for each call'
  )
}

async function outcomeOf(
  run: () => unknown,
  replaceError: (error: unknown) => unknown
): Promise<CallOutcome> {
  try {
    return { ok: true, value: await run() }
  } catch (error) {
    return { ok: false, error: replaceError(error) }
  }
}

function unwrap(outcome: CallOutcome): unknown {
  if (outcome.ok) return outcome.value
  throw outcome.error
}

async function sha256Hex(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')
}
