// The result of a call that components wait for.
import { Connection } from '../index.js'
import { releaseNetrefs } from './release-netrefs.js'
import { Resource } from './resource.js'

type Outcome = { readonly value: unknown } | { readonly error: unknown }

export class RemoteResult extends Resource {
  #outcome: Outcome | undefined
  /** Resolves with the first outcome. */
  readonly #settled: Promise<void>
  #onSettled!: () => void
  /** Number of the read whose outcome counts. */
  #reads = 0
  readonly #stopFollowing: (() => void)[]

  /** `deps` are what `read` uses. A connection among them makes the call again when its session is renewed. */
  constructor(
    private readonly read: () => unknown,
    private readonly deps: readonly unknown[]
  ) {
    super()
    this.#settled = new Promise(resolve => {
      this.#onSettled = resolve
    })
    // A lost call that may have run rejects after this event: the read that follows replaces it.
    this.#stopFollowing = deps
      .filter(dep => dep instanceof Connection)
      .map(conn => conn.on('renewed', () => this.#start()))
    this.#start()
  }

  get isPending(): boolean {
    return this.#outcome === undefined
  }

  get hasFailed(): boolean {
    return this.#outcome !== undefined && 'error' in this.#outcome
  }

  /** The value. Until it arrives, throws the promise that React waits for. @throws the error of the call */
  get value(): unknown {
    if (!this.#outcome) throw this.#settled
    if ('error' in this.#outcome) throw this.#outcome.error
    return this.#outcome.value
  }

  #start(): void {
    const number = ++this.#reads
    new Promise(resolve => resolve(this.read())).then(
      value => {
        if (number === this.#reads) this.#settle({ value })
        else releaseNetrefs(value, this.deps)
      },
      error => {
        if (number === this.#reads) this.#settle({ error })
      }
    )
  }

  #settle(outcome: Outcome): void {
    const previous = this.#outcome
    this.#outcome = outcome
    this.prolong()
    this.#onSettled()
    this.notify()
    this.#release(previous)
  }

  #release(outcome: Outcome | undefined): void {
    if (outcome && 'value' in outcome) releaseNetrefs(outcome.value, this.deps)
  }

  close(): void {
    this.#reads++
    for (const stop of this.#stopFollowing) stop()
    this.#release(this.#outcome)
  }
}
