// The interfaces between the table of streams and each kind of stream.

import type { DisposingSide } from '../../codec/dispose.js'
import type { Giver, Taker } from '../../codec/types.js'
import type { FlowChannel } from '../../protocol/channel.js'
import type { ContextSnapshot } from '../../util/contexts.js'
import type { ReportError } from '../../util/emitter.js'
import type { ReceivedReferences } from '../delivery.js'
import type { Reference, Requester } from '../proxy.js'

/** What stands at home behind a reference with a flow. */
export interface HomeFlow {
  /** Carries out what its holder asks for; it hands over what came with the value. @throws Refusal for what it does not offer */
  call?(method: string, value: unknown, delivery: ReceivedReferences | undefined): unknown
  /** So many items have been read. With `window` so many may be ahead from now on; reading begins where none were read. */
  pull?(readItems: number, window: number | undefined): void
  /** Tells again how it ended, if it has: who was told that may have let go of it before another reference came. */
  resendEnd?(): void
  /** The peer has let go of it, or the session has ended: then `reason` says so. */
  close(reason?: Error): void
  /** It was not sent after all: it is as it was. */
  rollback?(): void
}

/** What stands here for a reference with a flow. */
export interface ArrivedFlow {
  readonly reference: Reference
  /** What the user has of it. */
  readonly wrapper: object
  /** `delivery` is what came with them. @throws ProtocolError where it has no items */
  onItems(items: unknown[], ask: boolean, size: number, delivery: ReceivedReferences | undefined): void
  onEnd(ok: boolean, value: unknown, size?: number, delivery?: ReceivedReferences): void
  /** It was released, or the session has ended: nothing more will come. */
  disconnect(reason: Error): void
  /** Whether its home may be at something that has not come here, where so many frames have left: if it knows. */
  mayHaveRun?(framesSent: number): boolean
  /** Nobody ever had it. */
  onDiscarded?(): void
}

/** What knows what the peer holds. */
export interface ExportLookup {
  /** @throws ProtocolError for what was never given */
  isExported(id: number): boolean
  /** The object of ours with this number, which the peer holds; and the context of the call that handed it over. */
  exportedObject(id: number): object
  exportContext(id: number): ContextSnapshot | undefined
}

/** What knows what came in the message that was read last. */
export interface Receiver {
  takeReceived(): ReceivedReferences | undefined
}

/** What a flow asks of its session. */
export interface FlowPort {
  readonly channel: FlowChannel
  readonly references: Giver & Taker & ExportLookup & Receiver & DisposingSide
  readonly session: Requester
  readonly report: ReportError
  /** The most that may wait here to be read, in bytes; and how much does. */
  readonly maxBufferedBytes: number
  queuedBytes: number
  /** What promises and signals came to, in bytes, for calls under way that they came with. */
  retainedBytes: number
  /** Sees to it that the flow of ours with this number tells again how it ended: once, when there is room for that. */
  resendEnd(id: number): void
}

/** What asks `before` for what is asked of a flow. */
export type Ask = (
  kind: 'call' | 'iterate',
  target: object,
  path: readonly string[],
  args: readonly unknown[]
) => void
