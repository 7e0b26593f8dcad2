// Interfaces between the table of streams and each kind of stream.

import type { DisposingSide } from '../../codec/dispose.js'
import type { ReferenceDecoder, ReferenceEncoder, StreamTag } from '../../codec/types.js'
import type { Reason } from '../../errors.js'
import type { StreamChannel } from '../../protocol/channel.js'
import type { StreamMessage } from '../../protocol/messages.js'
import type { ContextSnapshot } from '../../util/async-context.js'
import type { ReportError } from '../../util/emitter.js'
import type { CallOptions } from '../call-options.js'
import type { Reference, Requester } from '../proxy.js'
import type { ReceivedReferences } from '../received-references.js'

/** The owner's end of a stream. */
export interface LocalStream {
  /**
   * Performs a method call of the holder. It marks `received` when user code gets the value.
   * @throws CallRejection for an unknown method
   */
  call?(method: string, value: unknown, received: ReceivedReferences | undefined): unknown
  /** The reader has read that many items. `window` is the new window in items. Reading begins if no items were read. */
  pull?(readItems: number, window: number | undefined): void
  /** Sends the end again, if it has ended: the peer may have released the reference before another one arrived. */
  resendEnd?(): void
  /** The peer has released it, or the session has ended with `reason`. */
  close(reason?: Error): void
  /** It was not sent: it is unlocked, or forgotten. */
  rollback?(): void
}

/** The receiver's end of a stream. */
export interface RemoteStream {
  readonly reference: Reference
  /** The object that the user gets. */
  readonly wrapper: object
  /** `received` are the references in the items. @throws ProtocolError if it has no items */
  onItems(
    items: unknown[],
    requestsAck: boolean,
    size: number,
    received: ReceivedReferences | undefined
  ): void
  onEnd(ok: boolean, value: unknown, size?: number, received?: ReceivedReferences): void
  /** It was released, or the session has ended: no more messages follow. */
  disconnect(reason: Error): void
  /**
   * Whether the owner may have done something that has not arrived here, after that many sent frames; undefined if
   * unknown.
   */
  mayHaveRun?(framesSent: number): boolean
  /** No user code got it. */
  onDiscarded?(): void
}

/** Looks up exported objects. */
export interface ExportLookup {
  /** @throws ProtocolError for an id that was never sent */
  isExported(id: number): boolean
  /** The exported object with this id, and the context of the call that passed it. */
  exportedObject(id: number): object
  exportContext(id: number): ContextSnapshot | undefined
}

/** Holds the references of the message that was decoded last. */
export interface ReceivedReferencesHolder {
  takeReceived(): ReceivedReferences | undefined
}

/** What a stream needs of its session. */
export interface StreamPort {
  readonly channel: StreamChannel
  readonly references: ReferenceEncoder &
    ReferenceDecoder &
    ExportLookup &
    ReceivedReferencesHolder &
    DisposingSide
  readonly session: Requester
  readonly report: ReportError
  /** Maximum number of bytes that may wait to be read, and the current number. */
  readonly maxBufferedBytes: number
  queuedBytes: number
  /** Bytes of outcomes that promises and signals retain for pending calls. */
  retainedBytes: number
  /** Sends the end of the local stream with this id again: once, when there is room. */
  resendEnd(id: number): void
}

/** Asks the `before` hook about an operation on a stream. */
export type BeforeStreamOperation = (
  kind: 'call' | 'iterate',
  target: object,
  path: readonly string[],
  args: readonly unknown[]
) => void

/** Why the peer cannot call a method of an object as that of a stream. */
export const NOT_A_STREAM = 'it is not an iterator or stream'

/** What a session needs of its streams. */
export interface SessionStreams {
  /** Bytes that wait to be read. */
  readonly queuedBytes: number
  /** Asks the `before` hook whether the peer may use a local stream. */
  runBeforeHook: BeforeStreamOperation | undefined
  /** Runs the code that produces items, with the session as the current caller. */
  runProducer: (run: () => void) => void
  /** Called with the error of a local stream or promise. @returns the error for the peer */
  replaceError: (id: number, error: unknown) => unknown
  /** Records the call whose result contained a local stream. */
  setOrigin(id: number, call: string): void
  originOf(id: number): string | undefined

  // The owner's ends.

  /** Adds the local stream of an exported object. @returns what its encoded reference contains after the name */
  addLocal(kind: StreamTag, id: number, object: object, callerOwned: boolean): readonly unknown[]
  /** Whether an exported object is a stream. */
  hasLocal(id: number): boolean
  /** The reference was not sent. */
  rollback(id: number): void
  /** The peer released the reference while another one was sent: the end is sent again. */
  resendEnd(id: number): void
  /** The peer has released the reference, or the session has ended. */
  closeLocal(id: number): void
  /** @throws CallRejection if there is no such stream, or it does not have the method */
  call(
    id: number,
    object: object,
    method: string,
    value: unknown,
    received: ReceivedReferences | undefined
  ): unknown
  /** @returns items to be sent before other messages. To be called until it returns undefined. */
  takeItemsMessage(): string | undefined

  // The receiver's ends.

  /** Adds the receiver's end of a stream. @returns the object for the user */
  addRemote(
    kind: StreamTag,
    reference: Reference,
    data: readonly unknown[],
    received: ReceivedReferences
  ): object
  /** Applies the options of a call to its result. */
  applyOptions(value: unknown, options: CallOptions): void
  /** A netref that no user code got is about to be released. */
  onDiscarded(reference: Reference): void
  /** A netref was released here. */
  onReleased(reference: Reference): void
  /** @throws ProtocolError if the message does not fit the stream */
  receive(message: StreamMessage, bytes: readonly Uint8Array[], size: number): void
  /** The session has ended after that many sent frames. The owner's ends close when their exports are cleared. */
  end(reason: Reason, framesSent: number): void
}
