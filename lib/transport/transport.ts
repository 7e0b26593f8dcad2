// What carries frames. A transport delivers whole frames in order, and may die.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { ReportError } from '../util/emitter.js'

/** How much a transport is given to carry at a time, in bytes; a single frame may be more. */
export const HIGH_WATER_MARK_BYTES = 1 << 20

/** All members are required, so that no transport around another one leaves one out. */
export interface Transport {
  /** Begins delivery to `listener`. Called once, before anything else. */
  start(listener: TransportListener): void
  /** Whether it moves buffers to the other end: bytes are to be in parts then, with nobody else's hands on them. */
  readonly transfersBuffers: boolean
  /** Sends a frame. Called only between `opened` and `closed`. `sent` is called when it has left this process. */
  send(frame: FrameData, onSent?: () => void): void
  /** Bytes that were sent and have not left this process. */
  readonly bufferedAmount: number
  /** Falls as what was sent leaves, parts of a frame, too, where a transport can tell. Nothing else is said by it. */
  readonly pendingWriteBytes: number
  /** Bytes that have come, of frames that are not complete, too; undefined where a transport cannot tell. */
  readonly bytesReceived: number | undefined
  /** Stops reading from the other end, which is slowed down by that, and goes on; where that cannot be, frames come all the same. */
  pause(): void
  resume(): void
  /** Closes when all that was sent has left; the other end is told the reason. `closed` follows. */
  close(reason: Reason): void
  /** It keeps the process alive no more. */
  unref(): void
}

/** What a transport tells the link above it. */
export interface TransportListener {
  onOpen(): void
  onFrame(frame: FrameData): void
  /** The last word of a transport: it is gone, for what the other end said or for what befell it. */
  onClose(reason: Reason): void
}

const nothing = () => {}

/** Where a link begins that is to look for its first transport by itself. */
export const DISCONNECTED: Transport = {
  start: listener => listener.onClose({ code: 'unreachable', message: 'no connection was tried yet' }),
  transfersBuffers: false,
  send: nothing,
  bufferedAmount: 0,
  pendingWriteBytes: 0,
  bytesReceived: undefined,
  pause: nothing,
  resume: nothing,
  close: nothing,
  unref: nothing
}

/** For a transport that was given up: nothing of it is heard any more. */
export const IGNORE_EVENTS: TransportListener = { onOpen: nothing, onFrame: nothing, onClose: nothing }
/** An accepted client, which may have reserved a session slot. */
export interface AcceptedClient {
  readonly transport: Transport
  /** Who it is. */
  readonly identity?: unknown
  /** Where it comes from; undefined where nobody can say. */
  readonly address?: string | undefined
  /** When it could begin to speak, by `clock.now()`. @default now */
  readonly connectedAt?: number
}
export type AcceptClient = (client: AcceptedClient) => void

/** What brings clients to a server. */
export interface Listener {
  /** Where clients connect to; undefined where that has no address. */
  readonly url: string | undefined
  /** Clients that wait to be let in. @default 0 */
  readonly pendingClients?: number
  /** Lets clients in from now on. Called once. */
  open(accept: AcceptClient, report: ReportError): Promise<void>
  /** What it listens at keeps the process alive no more, if that is its own. */
  unref(): void
  /** Lets nobody in any more. Resolves when what it listened at is free. */
  close(): Promise<void>
}
