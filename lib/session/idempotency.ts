// Calls with a key: each runs once, and whoever makes it again is given what came of it the first time.

import { type Data, dataOf } from '../codec/data.js'
import { unbox } from '../codec/decode.js'
import type { Giver, Taker } from '../codec/types.js'
import { LimitError, Refusal, type RefusalCode, refusalOf } from '../errors.js'
import { formatRefused, formatReply, type Groups, Op } from '../protocol/messages.js'
import { TextEncoder } from '../util/platform.js'
import type { ResultStore, StoredResult } from './idempotency-store.js'
import { textOf } from './identity.js'
import { Results } from './memory-idempotency-store.js'

export interface ResultOptions {
  /**
   * Where it is kept what came of clients' calls with a key (`Netref.with(fn, { key })`): a call made again is answered
   * with that, and does not run. A key counts for an identity and a path; without an identity (`authenticate`) that is
   * data, for one session.
   *
   * @default keys mean nothing
   */
  readonly results?: ResultStore | undefined
}

/** What was asked under a key. */
export interface Asked {
  readonly path: readonly unknown[]
  /** Its JSON, as it came. */
  readonly operation: string
  /** Whether it may have been carried out before. */
  readonly again: boolean
}

type Settled =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown }
interface Told {
  readonly request: string
  readonly settled: Settled
  readonly bytes: number
}
interface UnderWay {
  readonly request: string
  readonly done: Promise<void>
}

/** The JSON of an outcome that is kept for other sessions, in characters. */
const LONGEST_REPLY = 65_536
/** How long calls of nobody in particular are known in their session, in ms, and what they take up there, in bytes. */
const KEEP_UNKNOWN = 300_000
const MOST_UNKNOWN = 8 << 20
/** Outcomes of a session that only it can be told again: what they take up there, in bytes. */
const MOST_UNSTORED = 4 << 20
/** What such an outcome weighs at least; a reference in it; and what a character of its JSON stands for. */
const OUTCOME = 512
const REFERENCE = 4096
const CHARACTER = 8

/** Calls under way, by store: sessions of one identity wait for each other. */
const underWayIn = new WeakMap<ResultStore, Map<string, UnderWay>>()

/** What a session does about calls with a key: only who serves brings the code for that. */
export type Keying = (...session: SessionParts) => KeyedCalls
type SessionParts = [identity: unknown, references: Giver & Taker, report: (error: unknown) => void]

/** @throws TypeError for what is no store */
export function keyingOf({ results }: ResultOptions): Keying | undefined {
  if (!results) return undefined
  if (typeof results.get === 'function' && typeof results.set === 'function')
    return (...session) => new KeyedCalls(results, ...session)
  throw new TypeError('results: a store has `get` and `set`: `new Results()` is one')
}

/** The calls with a key of one session's peer. */
export class KeyedCalls {
  readonly #underWay: Map<string, UnderWay>
  /** What came of calls that is not data, and so is for this session alone. */
  readonly #unstored = new Map<string, Told>()
  #unstoredBytes = 0
  readonly #store: ResultStore
  /** Whose keys these are: a digest. */
  readonly #owner: Promise<string>

  constructor(
    store: ResultStore,
    identity: unknown,
    private readonly references: Giver & Taker,
    private readonly report: (error: unknown) => void
  ) {
    const known = identity === undefined ? undefined : textOf(identity)
    // Nobody else can ever ask for what came of the calls of nobody in particular: it goes with the session.
    this.#store = known === undefined ? new Results(KEEP_UNKNOWN, MOST_UNKNOWN) : store
    this.#owner = digest(known ?? '')
    this.#underWay = underWayIn.get(this.#store) ?? new Map()
    underWayIn.set(this.#store, this.#underWay)
  }

  /**
   * What comes of a call, or came of it when it was made under this key before. `run` is told whether the call may have
   * been carried out before without a trace in the store.
   */
  async once(key: string, asked: Asked, run: (again: boolean) => unknown): Promise<unknown> {
    const owner = await this.#owner
    const [name, request] = await Promise.all([
      digest(JSON.stringify([owner, asked.path, key])),
      digest(asked.operation)
    ])
    for (let other = this.#underWay.get(name); other; other = this.#underWay.get(name)) {
      checkSame(other, request)
      await other.done
    }
    const told = this.#unstored.get(name)
    if (told) return outcomeOf(checkSame(told, request).settled)
    let finish!: () => void
    this.#underWay.set(name, { request, done: new Promise(resolve => (finish = resolve)) })
    try {
      const stored = await this.#store.get(name)
      if (stored) return this.#tell(checkSame(stored, request))
      await this.#begin(name, request, owner)
      const settled = await settle(() => run(asked.again && this.#store.lasting !== true))
      await this.#keep(name, request, owner, settled)
      return outcomeOf(settled)
    } finally {
      this.#underWay.delete(name)
      finish()
    }
  }

  async #begin(name: string, request: string, owner: string): Promise<void> {
    try {
      await this.#store.set(name, { request }, owner)
    } catch (error) {
      throw error instanceof LimitError ? new Refusal('limit', error.message) : error
    }
  }

  /** The call has run, whatever becomes of this. */
  async #keep(name: string, request: string, owner: string, settled: Settled): Promise<void> {
    const kept = this.#format(settled)
    if (typeof kept === 'number') return this.#keepHere(name, { request, settled, bytes: kept })
    try {
      await this.#store.set(name, { request, reply: kept }, owner)
    } catch (error) {
      this.report(error)
    }
  }

  /** Of the oldest it is known that they have run, and no more: who asks again is told so. */
  #keepHere(name: string, told: Told): void {
    this.#unstored.set(name, told)
    this.#unstoredBytes += told.bytes
    for (const [oldest, { bytes }] of this.#unstored) {
      if (this.#unstoredBytes <= MOST_UNSTORED) return
      this.#unstored.delete(oldest)
      this.#unstoredBytes -= bytes
    }
  }

  /** An outcome as the reply to no call in particular; where it is not data, or a lot, what it takes up, in bytes. */
  #format(settled: Settled): string | number {
    if (settled.ok && settled.value === undefined) return formatReply(Op.result, 0)
    if (!settled.ok && settled.error instanceof Refusal)
      return formatRefused(0, settled.error.code, settled.error.message)
    let data: Data
    try {
      data = dataOf(settled.ok ? settled.value : settled.error, 'result', this.references.boxing)
    } catch (error) {
      // It is answered with what keeps it from being sent.
      const { code, message } =
        refusalOf(error) ?? new Refusal('unsendable', 'it failed with what cannot be sent')
      return formatRefused(0, code, message)
    }
    const { json, bytes, isData } = data
    if (isData && bytes.length === 0 && json.length <= LONGEST_REPLY)
      return formatReply(settled.ok ? Op.result : Op.error, 0, json)
    const beside = bytes.reduce((sum, { byteLength }) => sum + byteLength, 0)
    return OUTCOME + (isData ? 0 : REFERENCE) + json.length * CHARACTER + beside
  }

  #tell({ reply }: StoredResult): unknown {
    if (reply === undefined)
      throw new Refusal('may-have-run', 'it began under this key before, and what came of it is not known')
    const [op, , raw, more] = JSON.parse(reply) as [number, 0, unknown, unknown]
    if (op === Op.refused) throw new Refusal(raw as RefusalCode, String(more))
    const value = unbox(raw, more as Groups | undefined, [], this.references)
    if (op === Op.error) throw value
    return value
  }
}

function checkSame<T extends { readonly request: string }>(known: T, request: string): T {
  if (known.request === request) return known
  throw new Refusal(
    'unreadable',
    'its key was used before, with other arguments: each call has a key of its own'
  )
}

async function settle(run: () => unknown): Promise<Settled> {
  try {
    return { ok: true, value: await run() }
  } catch (error) {
    return { ok: false, error }
  }
}

function outcomeOf(settled: Settled): unknown {
  if (settled.ok) return settled.value
  throw settled.error
}

async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')
}
