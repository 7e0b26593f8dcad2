// The base class of a transport around another one, to which it forwards all that it does not override.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { PeerInstance } from '../types/session.js'
import { BaseTransport } from './base-transport.js'
import type { Transport } from './transport.js'

export abstract class TransportWrapper extends BaseTransport {
  constructor(protected readonly inner: Transport) {
    super()
  }

  get transfersBuffers(): boolean {
    return this.inner.transfersBuffers
  }
  send(frame: FrameData, onSent?: () => void): void {
    this.inner.send(frame, onSent)
  }
  get bufferedAmount(): number {
    return this.inner.bufferedAmount
  }
  get pendingWriteBytes(): number {
    return this.inner.pendingWriteBytes
  }
  get bytesReceived(): number | undefined {
    return this.inner.bytesReceived
  }
  override get peer(): PeerInstance | undefined {
    return this.inner.peer
  }
  pause(): void {
    this.inner.pause()
  }
  resume(): void {
    this.inner.resume()
  }
  close(reason: Reason): void {
    this.inner.close(reason)
  }
  unref(): void {
    this.inner.unref()
  }
}
