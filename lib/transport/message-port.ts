// Frames over a MessagePort: to a worker, another page, an iframe, a thread. Binary frames move, they are not copied.
//
// Over the endpoint that a user gives, what serves says `{ netref: 'serving' }` when it begins and when it is asked,
// `{ netref: 'connect' }`; then who asked gives a port of its own for the session, `{ netref: 'connect', port }`.
// On that port go
//   null                     once, from the serving side: the port was taken
//   a string                 a frame
//   [a string, Uint8Array…]  a frame in parts
//   a number                 that many bytes of frames were taken: there is room for as many again
//   { alive }                where no event tells that an end is gone: the id of a lock that this end holds
//   { end }                  the farewell, and the last
import type { MessagePort } from 'node:worker_threads'
import type { Reason } from '../errors.js'
import { MultipartFrame } from '../protocol/frame.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'
import { isInstanceOf } from '../util/realms.js'
import { runInMicrotask } from '../util/scheduler.js'
import { addListener, addSharedListener, type Unsubscribe } from '../util/shared-listener.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'
import { isPortsEndpoint, type MessageEndpoint, type PortsEndpoint } from './endpoint.js'
import { holdLivenessLock, watchLivenessLock } from './liveness-lock.js'
import {
  type AcceptClient,
  HIGH_WATER_MARK_BYTES,
  type Listener,
  type Transport,
  type TransportListener
} from './transport.js'

/** How much is taken before the other end is told, in bytes. */
const REPORT_AFTER_BYTES = 1 << 16
const PEER_NAME = 'the other end of the port'

/** What goes over an endpoint that is a user's. */
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

/** One end of a port that a session has to itself. */
export class MessagePortTransport implements Transport {
  /** Bytes of frames that the other end has not said it took. */
  #unreportedBytes = 0
  /** Told when there is room again. */
  #drainCallbacks: (() => void)[] = []
  /** Bytes of frames taken that the other end has not been told of. */
  #consumedBytes = 0
  #paused = false
  readonly transfersBuffers = true
  readonly bytesReceived = undefined
  #listener!: TransportListener
  #port: MessagePort | undefined
  /** Takes off the listeners on the endpoint that are for the handshake alone. */
  #removeHandshakeListeners: Unsubscribe[] = []
  /** Takes off the one that hears a worker fail: where nobody hears that, Node ends the process. */
  #removeErrorListener: Unsubscribe | undefined
  readonly #ended = new AbortController()
  /** Whether the other end has said what tells that it is gone. */
  #watchesPeerLock = false
  #keepsProcessAlive = true
  #openDeadline: Deadline | undefined

  private constructor(
    private readonly open: (transport: MessagePortTransport) => void,
    /** What the other end may send without having been told that there is room, in bytes. */
    private readonly maxUnconsumedBytes: number
  ) {}

  /** At a port that the other end has offered. */
  static accept(port: MessagePort, maxPayload: number): MessagePortTransport {
    const open = (transport: MessagePortTransport) => {
      transport.#listen(port)
      holdLivenessLock(port, transport.#ended.signal, () => {
        port.postMessage(null)
        transport.#listener.onOpen()
      })
    }
    return new MessagePortTransport(open, HIGH_WATER_MARK_BYTES + maxPayload)
  }

  /** Offers a port over an endpoint, to what serves there or begins to within `patience` ms. */
  static connect(endpoint: MessageEndpoint, maxPayload: number, timeoutMs: number): MessagePortTransport {
    return new MessagePortTransport(
      transport => transport.#connect(endpoint, timeoutMs),
      HIGH_WATER_MARK_BYTES + maxPayload
    )
  }

  start(listener: TransportListener): void {
    this.#listener = listener
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

  /** So little as the other end does not mention counts as taken. */
  get bufferedAmount(): number {
    return this.#unreportedBytes < REPORT_AFTER_BYTES ? 0 : this.#unreportedBytes
  }

  get pendingWriteBytes(): number {
    return this.bufferedAmount
  }

  /** There is no way to stop a port: the other end stops for want of room. */
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

  /** The endpoint is its owner's: a worker, say, may keep the process alive. */
  unref(): void {
    this.#keepsProcessAlive = false
    this.#openDeadline?.unref()
    this.#port?.unref?.()
  }

  #connect(endpoint: MessageEndpoint, timeoutMs: number): void {
    const fail = (detail: string, cause?: unknown) =>
      this.#end({ code: 'unreachable', message: `cannot reach ${PEER_NAME}: ${detail}`, cause })
    this.#openDeadline = startDeadline(timeoutMs, () => fail(`nothing serves there, ${timeoutMs} ms long`))
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
      // Of a page's worker it is the failure of one task: the worker goes on.
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
    // Node tells of a port whose other end is gone, browsers do not.
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
    const invalidMessage: Reason = { code: 'protocol', message: `${PEER_NAME} sent what is no frame` }
    this.#end(parseCloseReason(String(end), PEER_NAME) ?? invalidMessage)
  }

  readonly #onPeerGone = () => this.#end({ code: 'connection-lost', message: `${PEER_NAME} is gone` })

  #onPortTaken(): void {
    this.#endHandshake()
    holdLivenessLock(this.#port!, this.#ended.signal, () => this.#listener.onOpen())
  }

  #consume(frame: string | MultipartFrame): void {
    this.#consumedBytes += frame.length
    if (this.#consumedBytes > this.maxUnconsumedBytes) {
      return this.#end({ code: 'limit', message: `${PEER_NAME} sent more than there was room for` })
    }
    this.#listener.onFrame(frame)
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
    runInMicrotask(() => this.#listener.onClose(reason))
  }
}

/** Memory that is shared could change while it is read. */
const isFrame = (message: unknown): message is [string, ...Uint8Array[]] =>
  Array.isArray(message) &&
  message.every((part, i) =>
    i === 0
      ? typeof part === 'string'
      : isInstanceOf('Uint8Array', part) && isInstanceOf('ArrayBuffer', part.buffer)
  ) &&
  message.length > 1

/** Who connects over an endpoint; in a SharedWorker, over that of each page. */
export class MessagePortListener implements Listener {
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

  /** The endpoint is its owner's. */
  unref(): void {}

  close(): Promise<void> {
    for (const off of this.#removeListeners) off()
    return Promise.resolve()
  }
}
