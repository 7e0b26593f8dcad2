// Promises and abort signals by reference: their outcome is sent once.

import { markConfidential } from '../../codec/confidential-errors.js'
import { LimitError, materializeStacks, ProtocolError } from '../../errors.js'
import { addSharedListener, type Unsubscribe } from '../../util/shared-listener.js'
import type { Signal } from '../../util/web-types.js'
import type { Reference } from '../proxy.js'
import type { ReceivedReferences } from '../received-references.js'
import { SignalSource } from './signal-source.js'
import type { LocalStream, RemoteStream, StreamPort } from './types.js'

/** Sends the outcome to the peer. */
type SendEnd = (ok: boolean, value: unknown) => void

/** A local promise that the peer awaits. */
export class LocalPromise implements LocalStream {
  #sendEnd: SendEnd | undefined
  #outcome: readonly [ok: boolean, value: unknown] | undefined

  constructor(
    promise: PromiseLike<unknown>,
    sendEnd: SendEnd,
    /** Disposes of an outcome that the peer does not await any more. */
    private readonly discardOutcome: (value: unknown) => void,
    /** Called with its error while the peer awaits it. @returns the error for the peer */
    replaceError: (error: unknown) => unknown
  ) {
    this.#sendEnd = sendEnd
    Promise.resolve(promise).then(
      value => this.#settle(true, value),
      error => this.#settle(false, this.#sendEnd ? replaceError(error) : error)
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

  /** The code that rolls it back disposes of its outcome. */
  rollback(): void {
    this.#sendEnd = () => {}
  }
}

const signalFinalizers = new FinalizationRegistry<LocalSignal>(signal => signal.onCollected())

/** A local signal that the peer listens to. Only the code that can abort it needs to hold it, so this does not. */
export class LocalSignal implements LocalStream {
  readonly #signal: WeakRef<Signal>
  /** Removes the listener. The listener holds the signal, so the signal holds this function. */
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

  /** No code can abort the signal any more. */
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

/** A remote value with one outcome. It retains the outcome for the calls that it came with, up to a limit. */
export abstract class RemoteOutcome implements RemoteStream {
  abstract readonly wrapper: object
  #openCalls = 0
  #retainedBytes = 0
  /** The references in the outcome. */
  #received: ReceivedReferences | undefined

  constructor(
    readonly reference: Reference,
    private readonly port: StreamPort
  ) {}

  /** @returns whether any code may get the outcome */
  protected abstract settle(ok: boolean, value: unknown): boolean

  /** A call came with it. */
  retain(): void {
    this.#openCalls++
  }

  /** A call that came with it has ended. */
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
    const message = `${this.reference.label}: more than ${port.maxBufferedBytes} bytes arrived for pending calls (limits.bufferedBytes)`
    const error = markConfidential(new LimitError('limit', message), port.references)
    materializeStacks(error)
    this.settle(false, error)
  }

  onDiscarded(): void {
    this.#received?.discard()
  }

  onItems(): void {
    throw new ProtocolError('items for a promise or signal')
  }

  disconnect(reason: Error): void {
    this.onEnd(false, reason)
  }

  /** The operation started before this reference was sent. */
  mayHaveRun(): boolean {
    return true
  }
}

/** A remote promise. It is kept alive until it settles; after that only the user's code holds it. */
export class RemotePromise extends RemoteOutcome {
  readonly #weakPromise: WeakRef<Promise<unknown>>
  #pending:
    | { promise: Promise<unknown>; resolve(value: unknown): void; reject(error: unknown): void }
    | undefined

  constructor(reference: Reference, port: StreamPort) {
    super(reference, port)
    let settle!: { resolve(value: unknown): void; reject(error: unknown): void }
    const promise = new Promise<unknown>((resolve, reject) => {
      settle = { resolve, reject }
    })
    // An unhandled rejection is the owner's to handle, not the receiver's.
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

/** A remote signal. It is kept alive while it has listeners; otherwise only the user's code holds it. */
export class RemoteSignal extends RemoteOutcome {
  readonly #source: SignalSource

  constructor(reference: Reference, port: StreamPort, [, , aborted, reason]: readonly unknown[]) {
    super(reference, port)
    this.#source = new SignalSource(reference.proxy)
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
    // Listeners read the name or message of a reason: an undefined reason becomes an AbortError.
    return this.#source.abort(reason ?? undefined)
  }
}
