// A transport around another one: what it does not do itself, the inner one does.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { Transport, TransportListener } from './transport.js'

export abstract class TransportWrapper implements Transport {
  constructor(protected readonly inner: Transport) {}

  abstract start(listener: TransportListener): void

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
