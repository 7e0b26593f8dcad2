// Promises and abort signals: what happens once, told to the other side when it does.

import { markConfidential } from '../../codec/peer-errors.js'
import { LimitError, materializeStacks, ProtocolError } from '../../errors.js'
import { addSharedListener, type Unsubscribe } from '../../util/shared-listener.js'
import type { Signal } from '../../util/web-types.js'
import type { ReceivedReferences } from '../delivery.js'
import type { Reference } from '../proxy.js'
import { SignalSource } from './signal-source.js'
import type { ArrivedFlow, FlowPort, HomeFlow } from './types.js'

/** Says to the other side what happened. */
type SendEnd = (ok: boolean, value: unknown) => void

/** A promise of this side, which the peer waits for. */
export class LocalPromise implements HomeFlow {
  #sendEnd: SendEnd | undefined
  #outcome: readonly [ok: boolean, value: unknown] | undefined

  constructor(
    promise: PromiseLike<unknown>,
    sendEnd: SendEnd,
    /** Given what it comes to when nobody waits for that any more. */
    private readonly discardOutcome: (value: unknown) => void
  ) {
    this.#sendEnd = sendEnd
    Promise.resolve(promise).then(
      value => this.#settle(true, value),
      error => this.#settle(false, error)
    )
  }

  #settle(ok: boolean, value: unknown): void {
    this.#outcome = [ok, value]
    if (this.#sendEnd) this.#sendEnd(ok, value)
    else this.discardOutcome(value)
  }

  resendEnd(): void {
    if (this.#outcome) this.#sendEnd?.(...this.#outcome)
  }

  close(): void {
    this.#sendEnd = undefined
  }

  /** Who takes it back sees to what it comes to. */
  rollback(): void {
    this.#sendEnd = () => {}
  }
}

const signalFinalizers = new FinalizationRegistry<LocalSignal>(signal => signal.onCollected())

/** A signal of this side, which the peer listens to. Who may abort it holds it, and nobody else need: not even this. */
export class LocalSignal implements HomeFlow {
  readonly #signal: WeakRef<Signal>
  /** Takes the listener off: it holds the signal, and so is held by that. */
  readonly #removeListener = new WeakMap<Signal, Unsubscribe>()

  constructor(
    signal: Signal,
    private readonly sendEnd: SendEnd
  ) {
    this.#signal = new WeakRef(signal)
    this.#removeListener.set(
      signal,
      addSharedListener(signal, 'abort', () => sendEnd(false, signal.reason))
    )
    signalFinalizers.register(signal, this, this)
  }

  /** Nobody can abort it any more. */
  onCollected(): void {
    this.sendEnd(true, undefined)
  }

  close(): void {
    signalFinalizers.unregister(this)
    const signal = this.#signal.deref()
    if (signal) this.#removeListener.get(signal)!()
  }

  rollback(): void {
    this.close()
  }
}

/** What happens once: what it comes to is kept for calls that it came with, within a bound. */
export abstract class RemoteOutcome implements ArrivedFlow {
  abstract readonly wrapper: object
  #openCalls = 0
  #retainedBytes = 0
  /** What came with what it came to. */
  #received: ReceivedReferences | undefined

  constructor(
    readonly reference: Reference,
    private readonly port: FlowPort
  ) {}

  /** @returns whether anybody may learn of it */
  protected abstract settle(ok: boolean, value: unknown): boolean

  /** A call came with it. */
  retain(): void {
    this.#openCalls++
  }

  /** That call is over. */
  releaseRetained(): void {
    if (--this.#openCalls > 0) return
    this.port.retainedBytes -= this.#retainedBytes
    this.#retainedBytes = 0
  }

  onEnd(ok: boolean, value: unknown, size = 0, received?: ReceivedReferences): void {
    const { port } = this
    const retainedBytes = this.#openCalls > 0 ? size : 0
    if (port.retainedBytes + retainedBytes <= port.maxBufferedBytes) {
      this.#retainedBytes += retainedBytes
      port.retainedBytes += retainedBytes
      if (this.settle(ok, value)) this.#received = received
      else received?.discard()
      return
    }
    received?.discard()
    const message = `${this.reference.label}: more than ${port.maxBufferedBytes} bytes came for calls under way (limits.bufferedBytes)`
    const error = markConfidential(new LimitError('limit', message), port.references)
    materializeStacks(error)
    this.settle(false, error)
  }

  onDiscarded(): void {
    this.#received?.discard()
  }

  onItems(): void {
    throw new ProtocolError('items of what has none')
  }

  disconnect(reason: Error): void {
    this.onEnd(false, reason)
  }

  /** What it comes to was begun before it came. */
  mayHaveRun(): boolean {
    return true
  }
}

/** A promise of the peer's. It is held until it settles, then by whoever holds it. */
export class RemotePromise extends RemoteOutcome {
  readonly #weakPromise: WeakRef<Promise<unknown>>
  #pending:
    | { promise: Promise<unknown>; resolve(value: unknown): void; reject(error: unknown): void }
    | undefined

  constructor(ref: Reference, port: FlowPort) {
    super(ref, port)
    let settle!: { resolve(value: unknown): void; reject(error: unknown): void }
    const promise = new Promise<unknown>((resolve, reject) => {
      settle = { resolve, reject }
    })
    // A failure nobody handles here was somebody else's to handle.
    promise.catch(() => {})
    this.#weakPromise = new WeakRef(promise)
    this.#pending = { promise, ...settle }
  }

  get wrapper(): object {
    return this.#weakPromise.deref()!
  }

  protected settle(ok: boolean, value: unknown): boolean {
    const waiting = this.#pending
    this.#pending = undefined
    if (ok) waiting?.resolve(value)
    else waiting?.reject(value)
    return waiting !== undefined
  }
}

/** A signal of the peer's. It is held while somebody listens to it, then by whoever holds it. */
export class RemoteSignal extends RemoteOutcome {
  readonly #source: SignalSource

  constructor(ref: Reference, port: FlowPort, [, , aborted, reason]: readonly unknown[]) {
    super(ref, port)
    this.#source = new SignalSource(ref.proxy)
    if (aborted === 1) this.settle(false, reason)
  }

  get wrapper(): object {
    return this.#source.signal
  }

  protected settle(ok: boolean, reason: unknown): boolean {
    if (ok) {
      this.#source.onOwnerCollected()
      return false
    }
    // Listeners read the name or the message of a reason: an absent one becomes an AbortError.
    return this.#source.abort(reason ?? undefined)
  }
}
