// The interfaces between the table of streams and each kind of stream.

import type { Home } from '../../codec/dispose.js'
import type { Giver, Taker } from '../../codec/types.js'
import type { FlowChannel } from '../../protocol/channel.js'
import type { Context } from '../../util/contexts.js'
import type { Report } from '../../util/emitter.js'
import type { Delivery } from '../delivery.js'
import type { Ref, Requester } from '../proxy.js'

/** What stands at home behind a reference with a flow. */
export interface HomeFlow {
  /** Carries out what its holder asks for; it hands over what came with the value. @throws Refusal for what it does not offer */
  drive?(method: string, value: unknown, delivery: Delivery | undefined): unknown
  /** So many items have been read. With `window` so many may be ahead from now on; reading begins where none were read. */
  pull?(read: number, window: number | undefined): void
  /** Tells again how it ended, if it has: who was told that may have let go of it before another reference came. */
  retell?(): void
  /** The peer has let go of it, or the session has ended: then `reason` says so. */
  end(reason?: Error): void
  /** It was not sent after all: it is as it was. */
  undo?(): void
}

/** What stands here for a reference with a flow. */
export interface ArrivedFlow {
  readonly ref: Ref
  /** What the user has of it. */
  readonly facade: object
  /** `delivery` is what came with them. @throws ProtocolError where it has no items */
  items(items: unknown[], ask: boolean, size: number, delivery: Delivery | undefined): void
  ended(ok: boolean, value: unknown, size?: number, delivery?: Delivery): void
  /** It was released, or the session has ended: nothing more will come. */
  lost(reason: Error): void
  /** Whether its home may be at something that has not come here, where so many frames have left: if it knows. */
  mayRun?(framesLeft: number): boolean
  /** Nobody ever had it. */
  declined?(): void
}

/** What knows what the peer holds. */
export interface Holder {
  /** @throws ProtocolError for what was never given */
  holds(id: number): boolean
  /** The object of ours with this number, which the peer holds; and the context of the call that handed it over. */
  objectOf(id: number): object
  contextOf(id: number): Context | undefined
}

/** What knows what came in the message that was read last. */
export interface Receiver {
  delivered(): Delivery | undefined
}

/** What a flow asks of its session. */
export interface FlowPort {
  readonly channel: FlowChannel
  readonly references: Giver & Taker & Holder & Receiver & Home
  readonly session: Requester
  readonly report: Report
  /** The most that may wait here to be read, in bytes; and how much does. */
  readonly bufferedBytes: number
  buffered: number
  /** What promises and signals came to, in bytes, for calls under way that they came with. */
  settled: number
  /** Sees to it that the flow of ours with this number tells again how it ended: once, when there is room for that. */
  retell(id: number): void
}

/** What asks `before` for what is asked of a flow. */
export type Ask = (
  kind: 'call' | 'iterate',
  target: object,
  path: readonly string[],
  args: readonly unknown[]
) => void
