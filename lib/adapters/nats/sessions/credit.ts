// Flow control of a transport: how many bytes may be on their way to this end, or to the other one.
import { MAX_WINDOW_BYTES, MIN_WINDOW_BYTES } from './wire.js'

/**
 * Bytes that may be on their way to this process in all. NATS cuts off a connection that does not read for ten seconds, or
 * for which 64 MiB wait.
 */
const PROCESS_WINDOW_BYTES = 32 << 20

/** Shares the bytes that may be on their way to this process among its transports. */
export class ProcessWindow {
  #transports = 0

  add(): void {
    this.#transports++
  }

  remove(): void {
    this.#transports--
  }

  /** The next window of a transport that has used its window: up to twice as large, within its share. */
  next(windowBytes: number): number {
    const share = Math.floor(PROCESS_WINDOW_BYTES / this.#transports)
    return Math.max(MIN_WINDOW_BYTES, Math.min(2 * windowBytes, share, MAX_WINDOW_BYTES))
  }
}

/** Bytes sent and not read by the other end. */
export class SendWindow {
  #sentBytes = 0
  #readBytes = 0

  /** @param windowBytes bytes that may be on their way */
  constructor(public windowBytes: number) {}

  get bytesOnTheirWay(): number {
    return (this.#sentBytes - this.#readBytes) >>> 0
  }

  /** Whether a message of that size may be sent. */
  hasRoomFor(bytes: number): boolean {
    return this.bytesOnTheirWay + bytes <= this.windowBytes
  }

  sent(bytes: number): void {
    this.#sentBytes = (this.#sentBytes + bytes) >>> 0
  }

  /** Takes what the other end states. @returns false if it claims to have read more than was sent */
  update(readBytes: number, windowBytes: number): boolean {
    const newlyRead = (readBytes - this.#readBytes) >>> 0
    if (newlyRead > this.bytesOnTheirWay) return false
    this.#readBytes = readBytes
    this.windowBytes = windowBytes
    return true
  }
}

/** Bytes that this end has read, and when it must say so. */
export class ReceiveWindow {
  windowBytes = MIN_WINDOW_BYTES
  /** Bytes read so far, modulo 2^32. */
  readBytes = 0
  #unreportedBytes = 0

  constructor(private readonly processWindow: ProcessWindow) {}

  /** Counts bytes as read. @returns whether the other end must be told */
  read(bytes: number): boolean {
    this.readBytes = (this.readBytes + bytes) >>> 0
    this.#unreportedBytes += bytes
    if (this.#unreportedBytes * 4 < this.windowBytes) return false
    this.#unreportedBytes = 0
    this.windowBytes = this.processWindow.next(this.windowBytes)
    return true
  }
}
