// A transport around another one: what it does not do itself, the inner one does.
import type { Reason } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import type { Transport, TransportListener } from './transport.js'

export abstract class Wrapped implements Transport {
  constructor(protected readonly inner: Transport) {}

  abstract start(listener: TransportListener): void

  get moves(): boolean {
    return this.inner.moves
  }
  send(frame: FrameData, sent?: () => void): void {
    this.inner.send(frame, sent)
  }
  get buffered(): number {
    return this.inner.buffered
  }
  get outgoing(): number {
    return this.inner.outgoing
  }
  get arrived(): number | undefined {
    return this.inner.arrived
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
