// Calls with a key: each runs once, and whoever makes it again is given what came of it the first time.
import { boxValue, type Giver } from './box.js'
import { LimitError, Refusal, type RefusalCode } from './errors.js'
import { formatRefused, formatReply, type Groups, Op } from './protocol.js'
import { type Taker, unbox } from './unbox.js'

/** What is kept of a call with a key. */
export interface StoredResult {
  /** A digest of what was asked. */
  readonly request: string
  /** What came of it, in JSON; undefined of a call that began, and of which nothing can be told any more. */
  readonly reply?: string | undefined
}

/**
 * Where a server keeps what came of calls with a key (`results`). Names are digests of the caller's identity, the path
 * and the key. A store that outlives the process lets a server that was started anew answer, too. Servers behind one
 * address share one.
 */
export interface ResultStore {
  /**
   * Whether nothing is ever lost from it: a call that is made again, and is not in it, then runs; else it rejects with
   * `may-have-run`.
   *
   * @default false
   */
  readonly lasting?: boolean
  get(name: string): StoredResult | undefined | PromiseLike<StoredResult | undefined>
  /** Resolves when the result is kept; where it throws before a call began, the call rejects with that. */
  set(name: string, result: StoredResult): unknown
}

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

/**
 * Results in memory, for some time.
 *
 * @example
 * const server = await serve(Shop, { authenticate, results: new Results() })
 */
export class Results implements ResultStore {
  readonly #results = new Map<string, { readonly until: number; readonly result: StoredResult }>()

  constructor(
    /** How long each is kept, in ms. */
    private readonly keep = 300_000,
    /** How many are kept; one more call with a key rejects. */
    private readonly most = 100_000
  ) {}

  get(name: string): StoredResult | undefined {
    this.#forget()
    return this.#results.get(name)?.result
  }

  /** @throws LimitError for one more than may be kept */
  set(name: string, result: StoredResult): void {
    // Set anew it is the last in order, as it is kept longest.
    if (!this.#results.delete(name) && this.#results.size >= this.most)
      throw new LimitError(
        'limit',
        `${this.most} calls with a key are remembered: wait until some are forgotten`
      )
    this.#results.set(name, { until: Date.now() + this.keep, result })
  }

  #forget(): void {
    const now = Date.now()
    for (const [name, { until }] of this.#results) {
      if (until > now) return
      this.#results.delete(name)
    }
  }
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
}
interface UnderWay {
  readonly request: string
  readonly done: Promise<void>
}

/** The JSON of an outcome that is kept for other sessions, in characters. */
const LONGEST_REPLY = 65_536
/** Outcomes of a session that only it can be told again. */
const MOST_UNSTORED = 1000

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
  /** Whose keys these are. Who has no identity, or one that is not data, is somebody else in each session. */
  readonly #owner: string
  readonly #isKnown: boolean

  constructor(
    private readonly store: ResultStore,
    identity: unknown,
    private readonly references: Giver & Taker,
    private readonly report: (error: unknown) => void
  ) {
    this.#underWay = underWayIn.get(store) ?? new Map()
    underWayIn.set(store, this.#underWay)
    const known = identity === undefined ? undefined : dataOf(identity, references)
    this.#isKnown = known !== undefined
    this.#owner = known ?? String(crypto.getRandomValues(new Uint32Array(4)))
  }

  /**
   * What comes of a call, or came of it when it was made under this key before. `run` is told whether the call may have
   * been carried out before without a trace in the store.
   */
  async once(key: string, asked: Asked, run: (again: boolean) => unknown): Promise<unknown> {
    const [name, request] = await Promise.all([
      digest(JSON.stringify([this.#isKnown, this.#owner, asked.path, key])),
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
      const stored = await this.store.get(name)
      if (stored) return this.#tell(checkSame(stored, request))
      const vouched = this.#isKnown && this.store.lasting === true
      await this.#begin(name, request)
      const settled = await settle(() => run(asked.again && !vouched))
      await this.#keep(name, request, settled)
      return outcomeOf(settled)
    } finally {
      this.#underWay.delete(name)
      finish()
    }
  }

  async #begin(name: string, request: string): Promise<void> {
    try {
      await this.store.set(name, { request })
    } catch (error) {
      throw error instanceof LimitError ? new Refusal('limit', error.message) : error
    }
  }

  /** The call has run, whatever becomes of this. */
  async #keep(name: string, request: string, settled: Settled): Promise<void> {
    const reply = this.#format(settled)
    if (reply === undefined) {
      this.#unstored.set(name, { request, settled })
      // Of the oldest it is known that it has run, and no more: who asks again is told so.
      if (this.#unstored.size > MOST_UNSTORED) this.#unstored.delete(this.#unstored.keys().next().value!)
    } else {
      try {
        await this.store.set(name, { request, reply })
      } catch (error) {
        this.report(error)
      }
    }
  }

  /** An outcome as the reply to no call in particular; undefined where it is not data, or a lot. */
  #format(settled: Settled): string | undefined {
    if (settled.ok && settled.value === undefined) return formatReply(Op.result, 0)
    if (!settled.ok && settled.error instanceof Refusal)
      return formatRefused(0, settled.error.code, settled.error.message)
    const json = dataOf(settled.ok ? settled.value : settled.error, this.references)
    if (json === undefined || json.length > LONGEST_REPLY) return undefined
    return formatReply(settled.ok ? Op.result : Op.error, 0, json)
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

/** A value in JSON, if it is data through and through. */
function dataOf(value: unknown, { boxing }: Pick<Giver, 'boxing'>): string | undefined {
  const refuse = () => {
    throw new TypeError('a reference')
  }
  try {
    const { json, bytes } = boxValue(value, 'value', {
      boxing,
      give: refuse,
      giveFlow: refuse,
      takeBack: refuse,
      letGo: refuse
    })
    return bytes.length === 0 ? json : undefined
  } catch {
    return undefined
  }
}

async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')
}
