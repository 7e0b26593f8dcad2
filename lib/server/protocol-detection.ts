// Tells by the first bytes of a connection which protocol its client speaks, so that several protocols share a port.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'

/** A protocol other than HTTP. */
export interface DetectedProtocol {
  /** Whether a connection that begins with these bytes is of this protocol; undefined asks for more. */
  detect(firstBytes: Uint8Array): boolean | undefined
  /** Serves a connection, whose first bytes are still to be read. */
  serve(socket: Socket): void
}

/** Bytes by which every protocol is told apart. */
const MAX_PREFIX_BYTES = 24
/** Connections that may wait for their first byte without a limit of time: an RPyC client sends it when it is used. */
const MAX_SILENT = 1024

const noop = () => {}
/** Methods of HTTP are upper-case letters. */
const mayBeHttp = ([first = 0]: Uint8Array) => first >= 0x41 && first <= 0x5a

/** Takes over the connections of an HTTP server. Those of no protocol are destroyed. */
export class ProtocolDetection {
  readonly #silent = new Set<Socket>()
  readonly #detecting = new Set<Socket>()
  /** Connections of HTTP. One whose request offers another protocol than WebSocket is handed to the server a second time. */
  readonly #http = new WeakSet<Socket>()
  /** What the HTTP server itself does with a connection. */
  readonly #serveHttp: (socket: Socket) => void

  constructor(
    private readonly server: Server,
    private readonly protocols: readonly DetectedProtocol[],
    /** Whether connections of HTTP are served. */
    private readonly acceptsHttp: boolean,
    /** How long the rest of the first bytes may take, in ms. */
    private readonly helloMs: number,
    private readonly report: ReportError
  ) {
    const event = 'setSecureContext' in server ? 'secureConnection' : 'connection'
    this.#serveHttp = server.listeners(event)[0] as (socket: Socket) => void
    server.removeAllListeners(event)
    server.on(event, (socket: Socket) => {
      if (this.#http.has(socket)) this.#serveHttp.call(server, socket)
      else this.#detect(socket)
    })
  }

  /** Destroys the connections whose protocol is not known yet. */
  close(): void {
    for (const socket of this.#detecting) socket.destroy()
  }

  #detect(socket: Socket): void {
    let received = Buffer.alloc(0)
    let deadline: Deadline | undefined
    const onReadable = () => {
      const chunk: Buffer | null = socket.read()
      if (chunk === null) return
      this.#silent.delete(socket)
      deadline ??= startDeadline(this.helloMs, () => socket.destroy()).unref()
      received = Buffer.concat([received, chunk])
      const serve = this.#find(received)
      if (serve === undefined) return
      finish()
      if (serve === null) return void socket.destroy()
      socket.unshift(received)
      serve(socket)
    }
    const abandon = () => socket.destroy()
    const finish = () => {
      this.#silent.delete(socket)
      this.#detecting.delete(socket)
      deadline?.stop()
      socket.off('readable', onReadable).off('end', abandon).off('close', finish)
    }
    socket.on('error', noop).on('readable', onReadable).on('end', abandon).on('close', finish)
    this.#detecting.add(socket)
    this.#silent.add(socket)
    const [oldest] = this.#silent
    if (this.#silent.size > MAX_SILENT) oldest!.destroy()
  }

  /** How a connection with these first bytes is served: null if not at all, undefined if more bytes are needed. */
  #find(firstBytes: Uint8Array): ((socket: Socket) => void) | null | undefined {
    let needsMore = false
    for (const protocol of this.protocols) {
      const isOf = this.#isOf(protocol, firstBytes)
      if (isOf) return socket => protocol.serve(socket)
      needsMore ||= isOf === undefined
    }
    if (needsMore && firstBytes.length < MAX_PREFIX_BYTES) return undefined
    if (!this.acceptsHttp || !mayBeHttp(firstBytes)) return null
    return socket => {
      this.#http.add(socket)
      this.#serveHttp.call(this.server, socket.off('error', noop))
    }
  }

  #isOf(protocol: DetectedProtocol, firstBytes: Uint8Array): boolean | undefined {
    try {
      return protocol.detect(firstBytes)
    } catch (error) {
      this.report(error)
      return false
    }
  }
}
