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
import { FrameInParts } from '../protocol/frame.js'
import { type Deadline, deadlineIn } from '../util/deadline.js'
import type { Report } from '../util/emitter.js'
import { isA } from '../util/realms.js'
import { inMicrotask } from '../util/scheduler.js'
import { type Off, on, share } from '../util/shared-listener.js'
import { formatFarewell, parseFarewell } from './close-reason.js'
import { isPortsEndpoint, type MessageEndpoint, type PortsEndpoint } from './endpoint.js'
import { holdLifeline, watchLifeline } from './liveness-lock.js'
import { type LetIn, type Listener, ROOM, type Transport, type TransportListener } from './transport.js'

/** How much is taken before the other end is told, in bytes. */
const TELL_AFTER = 1 << 16
const PEER = 'the other end of the port'

/** What goes over an endpoint that is a user's. */
interface Notice {
  readonly netref?: unknown
  readonly port?: MessagePort
}

function onMessage(endpoint: object, handle: (message: unknown) => void, listen: typeof on): Off {
  if (!('addEventListener' in endpoint)) return listen(endpoint, 'message', handle)
  const off = listen(endpoint, 'message', event => handle((event as { data: unknown }).data))
  ;(endpoint as Partial<MessagePort>).start?.()
  return off
}

const onNotice = (endpoint: object, handle: (notice: Notice) => void): Off => {
  const heard = (message: unknown) => {
    if (typeof message === 'object' && message !== null) handle(message)
  }
  return onMessage(endpoint, heard, share)
}

/** One end of a port that a session has to itself. */
export class MessagePortTransport implements Transport {
  /** Bytes of frames that the other end has not said it took. */
  #untold = 0
  /** Told when there is room again. */
  #waiting: (() => void)[] = []
  /** Bytes of frames taken that the other end has not been told of. */
  #taken = 0
  #paused = false
  readonly moves = true
  readonly arrived = undefined
  #listener!: TransportListener
  #port: MessagePort | undefined
  /** Takes off the listeners on the endpoint that are for the handshake alone. */
  #offs: Off[] = []
  /** Takes off the one that hears a worker fail: where nobody hears that, Node ends the process. */
  #offError: Off | undefined
  readonly #over = new AbortController()
  /** Whether the other end has said what tells that it is gone. */
  #watches = false
  #keepsAlive = true
  #deadline: Deadline | undefined

  private constructor(
    private readonly open: (transport: MessagePortTransport) => void,
    /** What the other end may send without having been told that there is room, in bytes. */
    private readonly most: number
  ) {}

  /** At a port that the other end has offered. */
  static accept(port: MessagePort, maxPayload: number): MessagePortTransport {
    const take = (transport: MessagePortTransport) => {
      transport.#listen(port)
      holdLifeline(port, transport.#over.signal, () => {
        port.postMessage(null)
        transport.#listener.opened()
      })
    }
    return new MessagePortTransport(take, ROOM + maxPayload)
  }

  /** Offers a port over an endpoint, to what serves there or begins to within `patience` ms. */
  static connect(endpoint: MessageEndpoint, maxPayload: number, patience: number): MessagePortTransport {
    return new MessagePortTransport(transport => transport.#connect(endpoint, patience), ROOM + maxPayload)
  }

  start(listener: TransportListener): void {
    this.#listener = listener
    this.open(this)
  }

  send(frame: string | FrameInParts, sent?: () => void): void {
    this.#untold += frame.length
    if (typeof frame === 'string') this.#port!.postMessage(frame)
    else {
      const { json, ranges } = frame
      this.#port!.postMessage(
        [json, ...ranges],
        ranges.map(({ buffer }) => buffer as ArrayBuffer)
      )
    }
    if (sent && this.buffered > 0) this.#waiting.push(sent)
    else sent?.()
  }

  /** So little as the other end does not mention counts as taken. */
  get buffered(): number {
    return this.#untold < TELL_AFTER ? 0 : this.#untold
  }

  get outgoing(): number {
    return this.buffered
  }

  /** There is no way to stop a port: the other end stops for want of room. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#tell()
  }

  close(reason: Reason): void {
    this.#port?.postMessage({ end: formatFarewell(reason) })
    this.#end(reason)
  }

  /** The endpoint is its owner's: a worker, say, may keep the process alive. */
  unref(): void {
    this.#keepsAlive = false
    this.#deadline?.unref()
    this.#port?.unref?.()
  }

  #connect(endpoint: MessageEndpoint, patience: number): void {
    const fail = (why: string, cause?: unknown) =>
      this.#end({ code: 'unreachable', message: `cannot reach ${PEER}: ${why}`, cause })
    this.#deadline = deadlineIn(patience, () => fail(`nothing serves there, ${patience} ms long`))
    this.#offs.push(
      () => this.#deadline!.stop(),
      onNotice(endpoint, ({ netref }) => {
        if (netref === 'serving' && !this.#port) this.#offer(endpoint)
      }),
      share(endpoint, 'close', () => fail('it is closed')),
      share(endpoint, 'exit', () => fail('the worker has ended'))
    )
    this.#offError = share(endpoint, 'error', cause => {
      const why = `the worker failed: ${(cause as Error).message}`
      if (this.#offs.length > 0) fail(why, cause)
      // Of a page's worker it is the failure of one task: the worker goes on.
      else if (!('addEventListener' in endpoint)) this.#end({ code: 'connection-lost', message: why, cause })
    })
    endpoint.postMessage({ netref: 'connect' }, [])
  }

  #offer(endpoint: MessageEndpoint): void {
    const { port1, port2 } = new MessageChannel()
    this.#listen(port1)
    ;(endpoint as MessagePort).postMessage({ netref: 'connect', port: port2 }, [port2])
  }

  #listen(port: MessagePort): void {
    this.#port = port
    const heard = (message: unknown) => {
      if (!this.#over.signal.aborted) this.#receive(message)
    }
    onMessage(port, heard, on)
    // Node tells of a port whose other end is gone, browsers do not.
    on(port, 'close', this.#lost)
    if (!this.#keepsAlive) this.unref()
  }

  #receive(message: unknown): void {
    if (typeof message === 'string') return this.#take(message)
    if (isFrame(message)) return this.#take(new FrameInParts(message[0], message.slice(1) as Uint8Array[]))
    if (message === null) return this.#opened()
    if (typeof message === 'number' && message >= 0 && message <= this.#untold) return this.#drained(message)
    const { end, alive } = Object(message) as { end?: unknown; alive?: unknown }
    if (typeof alive === 'string' && !this.#watches) {
      this.#watches = true
      return watchLifeline(this.#port!, alive, this.#over.signal, this.#lost)
    }
    const wrong: Reason = { code: 'protocol', message: `${PEER} sent what is no frame` }
    this.#end(parseFarewell(String(end), PEER) ?? wrong)
  }

  readonly #lost = () => this.#end({ code: 'connection-lost', message: `${PEER} is gone` })

  #opened(): void {
    this.#forget()
    holdLifeline(this.#port!, this.#over.signal, () => this.#listener.opened())
  }

  #take(frame: string | FrameInParts): void {
    this.#taken += frame.length
    if (this.#taken > this.most) {
      return this.#end({ code: 'limit', message: `${PEER} sent more than there was room for` })
    }
    this.#listener.received(frame)
    if (!this.#paused && this.#taken >= TELL_AFTER) this.#tell()
  }

  #tell(): void {
    this.#port!.postMessage(this.#taken)
    this.#taken = 0
  }

  #drained(bytes: number): void {
    this.#untold -= bytes
    if (this.#untold >= TELL_AFTER) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const sent of waiting) sent()
  }

  #forget(): void {
    for (const off of this.#offs) off()
    this.#offs = []
  }

  #end(reason: Reason): void {
    if (this.#over.signal.aborted) return
    this.#over.abort()
    this.#forget()
    this.#offError?.()
    this.#port?.close()
    inMicrotask(() => this.#listener.closed(reason))
  }
}

/** Memory that is shared could change while it is read. */
const isFrame = (message: unknown): message is [string, ...Uint8Array[]] =>
  Array.isArray(message) &&
  message.every((part, i) =>
    i === 0 ? typeof part === 'string' : isA('Uint8Array', part) && isA('ArrayBuffer', part.buffer)
  ) &&
  message.length > 1

/** Who connects over an endpoint; in a SharedWorker, over that of each page. */
export class MessagePortListener implements Listener {
  readonly url = undefined
  readonly #offs: Off[] = []

  constructor(
    private readonly endpoint: MessageEndpoint | PortsEndpoint,
    private readonly maxPayload: number
  ) {}

  async open(letIn: LetIn, report: Report): Promise<void> {
    const { endpoint } = this
    if (!isPortsEndpoint(endpoint)) {
      this.#offs.push(share(endpoint, 'error', report))
      return this.#serve(endpoint, letIn)
    }
    const serve = (event: unknown) => this.#serve((event as { ports: MessagePort[] }).ports[0]!, letIn)
    this.#offs.push(share(endpoint, 'connect', serve))
  }

  #serve(endpoint: MessageEndpoint, letIn: LetIn): void {
    const say = () => endpoint.postMessage({ netref: 'serving' }, [])
    const off = onNotice(endpoint, ({ netref, port }) => {
      if (netref !== 'connect') return
      if (port) letIn({ transport: MessagePortTransport.accept(port, this.maxPayload) })
      else say()
    })
    this.#offs.push(off)
    say()
  }

  /** The endpoint is its owner's. */
  unref(): void {}

  close(): Promise<void> {
    for (const off of this.#offs) off()
    return Promise.resolve()
  }
}
