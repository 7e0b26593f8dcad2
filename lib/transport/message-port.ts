// The transport over a MessagePort: to a worker, another page, an iframe, a thread. Buffers are transferred, not copied.
//
// Over the endpoint of the caller, the server sends `{ netref: 'serving' }` when it starts, and as the answer to
// `{ netref: 'connect' }`. The client then offers a port for the session, `{ netref: 'connect', port }`.
// Messages on that port:
//   null                     once, from the server: the port is accepted
//   a string                 a frame
//   [a string, Uint8Array…]  a frame in parts
//   a number                 that many bytes of frames were consumed: as many may be sent again
//   { alive }                in browsers: the id of a lock that this end holds
//   { end }                  the close reason, which is last
import type { MessagePort } from 'node:worker_threads'
import type { Reason } from '../errors.js'
import { MultipartFrame } from '../protocol/frame.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'
import { isInstanceOf } from '../util/realms.js'
import { runInMicrotask } from '../util/scheduler.js'
import { addListener, addSharedListener, type Unsubscribe } from '../util/shared-listener.js'
import { BaseTransport } from './base-transport.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import { isPortsEndpoint, type MessageEndpoint, type PortsEndpoint } from './endpoint.js'
import { holdLivenessLock, watchLivenessLock } from './liveness-lock.js'
import { type AcceptClient, type ClientListener, HIGH_WATER_MARK_BYTES } from './transport.js'

/** Consumed bytes that are reported to the other end together. */
const REPORT_AFTER_BYTES = 1 << 16
const PEER_NAME = 'the other end of the port'

/** A message over the endpoint of the caller. */
interface EndpointMessage {
  readonly netref?: unknown
  readonly port?: MessagePort
}

function onMessage(
  endpoint: object,
  handle: (message: unknown) => void,
  listen: typeof addListener
): Unsubscribe {
  if (!('addEventListener' in endpoint)) return listen(endpoint, 'message', handle)
  const off = listen(endpoint, 'message', event => handle((event as { data: unknown }).data))
  ;(endpoint as Partial<MessagePort>).start?.()
  return off
}

const onEndpointMessage = (endpoint: object, handle: (notice: EndpointMessage) => void): Unsubscribe => {
  const heard = (message: unknown) => {
    if (typeof message === 'object' && message !== null) handle(message)
  }
  return onMessage(endpoint, heard, addSharedListener)
}

/** One end of the port of a session. */
export class MessagePortTransport extends BaseTransport {
  /** Bytes of frames sent that the other end has not reported as consumed. */
  #unreportedBytes = 0
  /** Called when the other end has consumed enough. */
  #drainCallbacks: (() => void)[] = []
  /** Bytes of frames consumed that were not reported to the other end. */
  #consumedBytes = 0
  #paused = false
  readonly transfersBuffers = true
  readonly bytesReceived = undefined
  #port: MessagePort | undefined
  /** Remove the listeners of the handshake from the endpoint. */
  #removeHandshakeListeners: Unsubscribe[] = []
  /** Removes the listener for errors of a worker: without one, Node ends the process. */
  #removeErrorListener: Unsubscribe | undefined
  readonly #ended = new AbortController()
  /** Whether the other end has sent the id of its lock. */
  #watchesPeerLock = false
  #keepsProcessAlive = true
  #openDeadline: Deadline | undefined

  private constructor(
    private readonly open: (transport: MessagePortTransport) => void,
    /** Bytes that the other end may send before this end has reported any as consumed. */
    private readonly maxUnconsumedBytes: number
  ) {
    super()
  }

  /** Accepts a port that the other end has offered. */
  static accept(port: MessagePort, maxPayload: number): MessagePortTransport {
    const open = (transport: MessagePortTransport) => {
      transport.#listen(port)
      holdLivenessLock(port, transport.#ended.signal, () => {
        port.postMessage(null)
        transport.emitOpen()
      })
    }
    return new MessagePortTransport(open, HIGH_WATER_MARK_BYTES + maxPayload)
  }

  /** Offers a port over an endpoint. Fails if no server answers there within `timeoutMs`. */
  static connect(endpoint: MessageEndpoint, maxPayload: number, timeoutMs: number): MessagePortTransport {
    return new MessagePortTransport(
      transport => transport.#connect(endpoint, timeoutMs),
      HIGH_WATER_MARK_BYTES + maxPayload
    )
  }

  protected begin(): void {
    this.open(this)
  }

  send(frame: string | MultipartFrame, onSent?: () => void): void {
    this.#unreportedBytes += frame.length
    if (typeof frame === 'string') this.#port!.postMessage(frame)
    else {
      const { json, ranges } = frame
      this.#port!.postMessage(
        [json, ...ranges],
        ranges.map(({ buffer }) => buffer as ArrayBuffer)
      )
    }
    if (onSent && this.bufferedAmount > 0) this.#drainCallbacks.push(onSent)
    else onSent?.()
  }

  /** Fewer bytes than the other end reports count as consumed. */
  get bufferedAmount(): number {
    return this.#unreportedBytes < REPORT_AFTER_BYTES ? 0 : this.#unreportedBytes
  }

  get pendingWriteBytes(): number {
    return this.bufferedAmount
  }

  /** A port cannot be paused: the other end stops because its bytes are not reported as consumed. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#reportConsumed()
  }

  close(reason: Reason): void {
    this.#port?.postMessage({ end: formatCloseReason(reason) })
    this.#end(reason)
  }

  /** The endpoint belongs to the caller: for example a worker may keep the process alive. */
  unref(): void {
    this.#keepsProcessAlive = false
    this.#openDeadline?.unref()
    this.#port?.unref?.()
  }

  #connect(endpoint: MessageEndpoint, timeoutMs: number): void {
    const fail = (detail: string, cause?: unknown) =>
      this.#end({ code: 'unreachable', message: `cannot reach ${PEER_NAME}: ${detail}`, cause })
    this.#openDeadline = startDeadline(timeoutMs, () => fail(`no server answered within ${timeoutMs} ms`))
    this.#removeHandshakeListeners.push(
      () => this.#openDeadline!.stop(),
      onEndpointMessage(endpoint, ({ netref }) => {
        if (netref === 'serving' && !this.#port) this.#offerPort(endpoint)
      }),
      addSharedListener(endpoint, 'close', () => fail('it is closed')),
      addSharedListener(endpoint, 'exit', () => fail('the worker has ended'))
    )
    this.#removeErrorListener = addSharedListener(endpoint, 'error', cause => {
      const why = `the worker failed: ${(cause as Error).message}`
      if (this.#removeHandshakeListeners.length > 0) fail(why, cause)
      // In a page one task of the worker has failed, and the worker goes on.
      else if (!('addEventListener' in endpoint)) this.#end({ code: 'connection-lost', message: why, cause })
    })
    endpoint.postMessage({ netref: 'connect' }, [])
  }

  #offerPort(endpoint: MessageEndpoint): void {
    const { port1, port2 } = new MessageChannel()
    this.#listen(port1)
    ;(endpoint as MessagePort).postMessage({ netref: 'connect', port: port2 }, [port2])
  }

  #listen(port: MessagePort): void {
    this.#port = port
    const heard = (message: unknown) => {
      if (!this.#ended.signal.aborted) this.#onMessage(message)
    }
    onMessage(port, heard, addListener)
    // Only Node emits `close` when the other end is gone.
    addListener(port, 'close', this.#onPeerGone)
    if (!this.#keepsProcessAlive) this.unref()
  }

  #onMessage(message: unknown): void {
    if (typeof message === 'string') return this.#consume(message)
    if (isFrame(message))
      return this.#consume(new MultipartFrame(message[0], message.slice(1) as Uint8Array[]))
    if (message === null) return this.#onPortTaken()
    if (typeof message === 'number' && message >= 0 && message <= this.#unreportedBytes)
      return this.#onConsumed(message)
    const { end, alive } = Object(message) as { end?: unknown; alive?: unknown }
    if (typeof alive === 'string' && !this.#watchesPeerLock) {
      this.#watchesPeerLock = true
      return watchLivenessLock(this.#port!, alive, this.#ended.signal, this.#onPeerGone)
    }
    const invalidMessage: Reason = { code: 'protocol', message: `${PEER_NAME} sent an invalid message` }
    this.#end(parseCloseReason(String(end), PEER_NAME) ?? invalidMessage)
  }

  readonly #onPeerGone = () => this.#end({ code: 'connection-lost', message: `${PEER_NAME} is gone` })

  #onPortTaken(): void {
    this.#endHandshake()
    holdLivenessLock(this.#port!, this.#ended.signal, () => this.emitOpen())
  }

  #consume(frame: string | MultipartFrame): void {
    this.#consumedBytes += frame.length
    if (this.#consumedBytes > this.maxUnconsumedBytes) {
      return this.#end({
        code: 'limit',
        message: `${PEER_NAME} sent more than may be unconsumed`
      })
    }
    this.listener.onFrame(frame)
    if (!this.#paused && this.#consumedBytes >= REPORT_AFTER_BYTES) this.#reportConsumed()
  }

  #reportConsumed(): void {
    this.#port!.postMessage(this.#consumedBytes)
    this.#consumedBytes = 0
  }

  #onConsumed(bytes: number): void {
    this.#unreportedBytes -= bytes
    if (this.#unreportedBytes >= REPORT_AFTER_BYTES) return
    const waiting = this.#drainCallbacks
    this.#drainCallbacks = []
    for (const sent of waiting) sent()
  }

  #endHandshake(): void {
    for (const off of this.#removeHandshakeListeners) off()
    this.#removeHandshakeListeners = []
  }

  #end(reason: Reason): void {
    if (this.#ended.signal.aborted) return
    this.#ended.abort()
    this.#endHandshake()
    this.#removeErrorListener?.()
    this.#port?.close()
    runInMicrotask(() => this.emitClose(reason))
  }
}

/** Shared memory is not accepted: it could change while it is read. */
const isFrame = (message: unknown): message is [string, ...Uint8Array[]] =>
  Array.isArray(message) &&
  message.every((part, i) =>
    i === 0
      ? typeof part === 'string'
      : isInstanceOf('Uint8Array', part) && isInstanceOf('ArrayBuffer', part.buffer)
  ) &&
  message.length > 1

/** Accepts clients over an endpoint; in a SharedWorker, over the port of each page. */
export class MessagePortListener implements ClientListener {
  readonly url = undefined
  readonly #removeListeners: Unsubscribe[] = []

  constructor(
    private readonly endpoint: MessageEndpoint | PortsEndpoint,
    private readonly maxPayload: number
  ) {}

  async open(accept: AcceptClient, report: ReportError): Promise<void> {
    const { endpoint } = this
    if (!isPortsEndpoint(endpoint)) {
      this.#removeListeners.push(addSharedListener(endpoint, 'error', report))
      return this.#serve(endpoint, accept)
    }
    const serve = (event: unknown) => this.#serve((event as { ports: MessagePort[] }).ports[0]!, accept)
    this.#removeListeners.push(addSharedListener(endpoint, 'connect', serve))
  }

  #serve(endpoint: MessageEndpoint, accept: AcceptClient): void {
    const announce = () => endpoint.postMessage({ netref: 'serving' }, [])
    const off = onEndpointMessage(endpoint, ({ netref, port }) => {
      if (netref !== 'connect') return
      if (port) accept({ transport: MessagePortTransport.accept(port, this.maxPayload) })
      else announce()
    })
    this.#removeListeners.push(off)
    announce()
  }

  /** The endpoint belongs to the caller. */
  unref(): void {}

  close(): Promise<void> {
    for (const off of this.#removeListeners) off()
    return Promise.resolve()
  }
}
