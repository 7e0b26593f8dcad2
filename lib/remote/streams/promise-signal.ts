// Promises and abort signals: what happens once, told to the other side when it does.

import { aboutCall } from '../../codec/peer-errors.js'
import { LimitError, ProtocolError, writeDown } from '../../errors.js'
import { type Off, share } from '../../util/shared-listener.js'
import type { Signal } from '../../util/web-types.js'
import type { Delivery } from '../delivery.js'
import type { Ref } from '../proxy.js'
import { SignalSource } from './signal-source.js'
import type { ArrivedFlow, FlowPort, HomeFlow } from './types.js'

/** Says to the other side what happened. */
type Tell = (ok: boolean, value: unknown) => void

/** A promise of this side, which the peer waits for. */
export class HomePromise implements HomeFlow {
  #tell: Tell | undefined
  #outcome: readonly [ok: boolean, value: unknown] | undefined

  constructor(
    promise: PromiseLike<unknown>,
    tell: Tell,
    /** Given what it comes to when nobody waits for that any more. */
    private readonly unheard: (value: unknown) => void
  ) {
    this.#tell = tell
    Promise.resolve(promise).then(
      value => this.#settle(true, value),
      error => this.#settle(false, error)
    )
  }

  #settle(ok: boolean, value: unknown): void {
    this.#outcome = [ok, value]
    if (this.#tell) this.#tell(ok, value)
    else this.unheard(value)
  }

  retell(): void {
    if (this.#outcome) this.#tell?.(...this.#outcome)
  }

  end(): void {
    this.#tell = undefined
  }

  /** Who takes it back sees to what it comes to. */
  undo(): void {
    this.#tell = () => {}
  }
}

const abandoned = new FinalizationRegistry<HomeSignal>(signal => signal.abandon())

/** A signal of this side, which the peer listens to. Who may abort it holds it, and nobody else need: not even this. */
export class HomeSignal implements HomeFlow {
  readonly #signal: WeakRef<Signal>
  /** Takes the listener off: it holds the signal, and so is held by that. */
  readonly #off = new WeakMap<Signal, Off>()

  constructor(
    signal: Signal,
    private readonly tell: Tell
  ) {
    this.#signal = new WeakRef(signal)
    this.#off.set(
      signal,
      share(signal, 'abort', () => tell(false, signal.reason))
    )
    abandoned.register(signal, this, this)
  }

  /** Nobody can abort it any more. */
  abandon(): void {
    this.tell(true, undefined)
  }

  end(): void {
    abandoned.unregister(this)
    const signal = this.#signal.deref()
    if (signal) this.#off.get(signal)!()
  }

  undo(): void {
    this.end()
  }
}

/** What happens once: what it comes to is kept for calls that it came with, within a bound. */
export abstract class Once implements ArrivedFlow {
  abstract readonly facade: object
  #calls = 0
  #size = 0
  /** What came with what it came to. */
  #delivery: Delivery | undefined

  constructor(
    readonly ref: Ref,
    private readonly port: FlowPort
  ) {}

  /** @returns whether anybody may learn of it */
  protected abstract settle(ok: boolean, value: unknown): boolean

  /** A call came with it. */
  hold(): void {
    this.#calls++
  }

  /** That call is over. */
  letGo(): void {
    if (--this.#calls > 0) return
    this.port.settled -= this.#size
    this.#size = 0
  }

  ended(ok: boolean, value: unknown, size = 0, delivery?: Delivery): void {
    const { port } = this
    const kept = this.#calls > 0 ? size : 0
    if (port.settled + kept <= port.bufferedBytes) {
      this.#size += kept
      port.settled += kept
      if (this.settle(ok, value)) this.#delivery = delivery
      else delivery?.giveBack()
      return
    }
    delivery?.giveBack()
    const message = `${this.ref.label}: more than ${port.bufferedBytes} bytes came for calls under way (limits.bufferedBytes)`
    const error = aboutCall(new LimitError('limit', message), port.references)
    writeDown(error)
    this.settle(false, error)
  }

  declined(): void {
    this.#delivery?.giveBack()
  }

  items(): void {
    throw new ProtocolError('items of what has none')
  }

  lost(reason: Error): void {
    this.ended(false, reason)
  }

  /** What it comes to was begun before it came. */
  mayRun(): boolean {
    return true
  }
}

/** A promise of the peer's. It is held until it settles, then by whoever holds it. */
export class ArrivedPromise extends Once {
  readonly #weak: WeakRef<Promise<unknown>>
  #waiting:
    | { promise: Promise<unknown>; resolve(value: unknown): void; reject(error: unknown): void }
    | undefined

  constructor(ref: Ref, port: FlowPort) {
    super(ref, port)
    let settle!: { resolve(value: unknown): void; reject(error: unknown): void }
    const promise = new Promise<unknown>((resolve, reject) => {
      settle = { resolve, reject }
    })
    // A failure nobody handles here was somebody else's to handle.
    promise.catch(() => {})
    this.#weak = new WeakRef(promise)
    this.#waiting = { promise, ...settle }
  }

  get facade(): object {
    return this.#weak.deref()!
  }

  protected settle(ok: boolean, value: unknown): boolean {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (ok) waiting?.resolve(value)
    else waiting?.reject(value)
    return waiting !== undefined
  }
}

/** A signal of the peer's. It is held while somebody listens to it, then by whoever holds it. */
export class ArrivedSignal extends Once {
  readonly #source: SignalSource

  constructor(ref: Ref, port: FlowPort, [, , aborted, reason]: readonly unknown[]) {
    super(ref, port)
    this.#source = new SignalSource(ref.proxy)
    if (aborted === 1) this.settle(false, reason)
  }

  get facade(): object {
    return this.#source.signal
  }

  protected settle(ok: boolean, reason: unknown): boolean {
    if (ok) {
      this.#source.abandon()
      return false
    }
    // Listeners read the name or the message of a reason: an absent one becomes an AbortError.
    return this.#source.abort(reason ?? undefined)
  }
}
