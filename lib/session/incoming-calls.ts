// The peer's calls that are not settled: their numbers, answers, signals, and the memory they hold.

import { estimateAnnotations, HeldBytes } from '../codec/memory-estimate.js'
import { ProtocolError, type Reason } from '../errors.js'
import { formatPath, formatTarget } from '../protocol/format.js'
import type { Annotations, TargetId } from '../protocol/messages.js'
import type { MemberPath } from '../protocol/path.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import { LazyMap } from '../util/lazy-map.js'
import { AnswerTable } from './answers.js'
import { CallSignals } from './call-signals.js'

export class IncomingCalls {
  readonly answers: AnswerTable
  readonly #signals = new CallSignals()
  readonly #heldBytes = new HeldBytes()
  /** Target and path of the one-way calls that are not settled. */
  readonly #oneWayCalls = new LazyMap<number, readonly [TargetId, MemberPath]>()
  #lastId = 0
  #lastOneWayId = 0
  #ended = false

  constructor(
    maxAnswerBytes: number,
    /** The estimated bytes of the message that is being processed; 0 if there is none. */
    private readonly messageBytes: () => number
  ) {
    this.answers = new AnswerTable(maxAnswerBytes)
  }

  /** Number of the last call that has one. */
  get lastId(): number {
    return this.#lastId
  }

  /** Calls so far, pings included. */
  get total(): number {
    return this.#lastId - this.#lastOneWayId
  }

  /** Calls that are not settled, and answers that the peer has not acknowledged. */
  get size(): number {
    return this.answers.size + this.#oneWayCalls.size
  }

  /** Calls that are not settled, with a reply or without. */
  get pendingCount(): number {
    return this.answers.pendingCount + this.#oneWayCalls.size
  }

  /** Estimated bytes held for calls that are not settled. */
  get heldBytes(): number {
    return this.#heldBytes.total
  }

  /** @throws ProtocolError if it is not the next number */
  add(id: number): number {
    if (id !== ++this.#lastId) throw new ProtocolError(`call ${id} after call ${this.#lastId - 1}`)
    return id
  }

  /** @returns a number below zero, since the peer gives one-way calls none */
  addOneWay(target: TargetId, path: MemberPath): number {
    const id = --this.#lastOneWayId
    this.#oneWayCalls.set(id, [target, path])
    return id
  }

  oneWayLabel(id: number): string {
    const [target, path] = this.#oneWayCalls.get(id)!
    return `${formatTarget(target)}${formatPath(path)}()`
  }

  removeOneWay(id: number): void {
    this.#oneWayCalls.delete(id)
  }

  isPending(id: number): boolean {
    return this.answers.isPending(id) || this.#oneWayCalls.has(id)
  }

  /** Whether a call was answered. The end of the session settles no call. */
  isSettled(id: number): boolean {
    return !(this.#ended || this.isPending(id))
  }

  /** Keeps the references of a call until it is settled. */
  keepReceived(id: number, received: ReceivedReferences | undefined): void {
    this.#signals.addReceived(id, received)
  }

  /** Adds the message that is being processed to the bytes that a call holds. */
  holdMessage(id: number, annotations: Annotations | undefined): void {
    this.#heldBytes.hold(id, this.messageBytes() + estimateAnnotations(annotations))
  }

  /** Adds the estimated bytes of a copy to those that a call holds. */
  holdCopy(id: number, bytes: number): void {
    this.#heldBytes.hold(id, bytes)
  }

  /** Estimated bytes that a call holds, or that its message has if it is being processed. */
  bytesOf(id: number): number {
    return this.#heldBytes.ofCall(id) ?? this.messageBytes()
  }

  signalOf(id: number): AbortSignal {
    return this.#signals.signalOf(id)
  }

  /** Whether an error is the reason for which the peer has cancelled a call. */
  isAbortReason(id: number, error: unknown): boolean {
    return this.#signals.isAbortReason(id, error)
  }

  /** @returns whether the signal keeps the reason */
  abort(id: number, reason: unknown, hasReferences: boolean): boolean {
    return this.#signals.abort(id, reason, hasReferences)
  }

  /** Releases what a call holds. @returns the references that came with it */
  finish(id: number): ReceivedReferences | undefined {
    if (this.#heldBytes.total > 0) this.#heldBytes.release(id)
    return this.#signals.takeReceived(id)
  }

  end(reason: Reason): void {
    this.#ended = true
    this.answers.clear()
    this.#heldBytes.clear()
    this.#oneWayCalls.clear()
    this.#signals.end(reason)
  }
}
