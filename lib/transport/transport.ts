// The interfaces of transports: a transport delivers whole frames in order, and may fail; a listener accepts clients.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { PeerInstance } from '../types/session.js'
import type { ReportError } from '../util/emitter.js'

/** Bytes that a transport buffers before it is given no more frames; a single frame may be larger. */
export const HIGH_WATER_MARK_BYTES = 1 << 20

/** All members are required, so that no wrapper omits one. */
export interface Transport {
  /**
   * Delivers events to `listener` from now on. The first call comes before all others, and begins delivery. A later call
   * replaces the listener. If the transport is open, the new listener gets `onOpen` at once.
   */
  start(listener: TransportListener): void
  /** Closes the transport, as `close` does, and delivers no event any more. */
  abandon(reason: Reason): void
  /** Whether frames are sent in parts whose buffers are transferred to the other end: nobody else may use them. */
  readonly transfersBuffers: boolean
  /** Sends a frame. Must be called between `onOpen` and `onClose` only. `onSent` is called when it has left this process. */
  send(frame: FrameData, onSent?: () => void): void
  /** Bytes of sent frames that have not left this process. */
  readonly bufferedAmount: number
  /** Decreases while sent bytes leave, parts of a frame included if the transport knows. It has no other meaning. */
  readonly pendingWriteBytes: number
  /** The instance at the other end, if it is one of several; otherwise undefined. */
  readonly peer: PeerInstance | undefined
  /** Bytes received, those of incomplete frames included; undefined if the transport does not know. */
  readonly bytesReceived: number | undefined
  /** Stops reading, so that the other end is slowed down. A transport that cannot pause delivers frames nevertheless. */
  pause(): void
  resume(): void
  /** Closes when all sent frames have left, and sends the reason to the other end. `onClose` follows. */
  close(reason: Reason): void
  /** Does not keep the process alive any longer. */
  unref(): void
}

/** A transport of a server that tells how much its client sends. */
export interface CountedTransport extends Transport {
  /** Calls `onBytes` with the size of each chunk of raw data, once it is read. @returns removes the listener */
  onRawData(onBytes: (bytes: number) => void): () => void
  /** Closes at once, without a reason. */
  terminate(): void
}

/** Receives the events of a transport. */
export interface TransportListener {
  onOpen(): void
  onFrame(frame: FrameData): void
  /** The transport is closed, for the reason of the other end or because it failed. No other event follows. */
  onClose(reason: Reason): void
}

const nothing = () => {}

/** The transport of a link that opens its first one by its resume strategy. */
export const DISCONNECTED: Transport = {
  start: listener => listener.onClose({ code: 'unreachable', message: 'no connection was tried yet' }),
  transfersBuffers: false,
  send: nothing,
  bufferedAmount: 0,
  pendingWriteBytes: 0,
  peer: undefined,
  bytesReceived: undefined,
  pause: nothing,
  resume: nothing,
  abandon: nothing,
  close: nothing,
  unref: nothing
}

/** A client that a listener has accepted. */
export interface AcceptedClient {
  readonly transport: Transport
  /** Result of `authenticate`. */
  readonly identity?: unknown
  /** Address of the client; undefined if it is not known. */
  readonly address?: string | undefined
  /** Time from which the client could send, by `clock.now()`. @default now */
  readonly connectedAt?: number
}
export type AcceptClient = (client: AcceptedClient) => void
/** Called with the IP address of a client that is refused. */
export type OnClientRefused = (ip: string | undefined, reason: Reason) => void

/** Accepts the clients of a server. */
export interface ClientListener {
  /** Address to connect to; undefined if there is none. */
  readonly url: string | undefined
  /** Port that it listens on; undefined if there is none. */
  readonly port?: number | undefined
  /** Number of clients not accepted or rejected yet. @default 0 */
  readonly pendingClients?: number
  /** Accepts clients from now on. Called once. `metrics` reads the counters of the server. */
  open(
    accept: AcceptClient,
    report: ReportError,
    onRefused: OnClientRefused,
    metrics: () => object
  ): Promise<void>
  /** The server drains: clients that have a choice choose another server from now on. Sessions can still be resumed. */
  leave?(): void
  /** Refuses further clients, so that they try again at another server. It may be omitted if they can reach no other one. */
  refuseClients?(): void
  /** Does not keep the process alive any longer, unless its server or endpoint belongs to the caller. */
  unref(): void
  /** Accepts no more clients. Resolves when the port or path is free. */
  close(): Promise<void>
}
