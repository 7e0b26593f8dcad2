// A network in this process: its one instance of a service is reached over memory transports.
import type { Reason } from '../../lib/index.js'
import { MemoryTransport } from '../../lib/transport/memory.js'
import type {
  AcceptedTransport,
  AcceptorSetup,
  NetworkEndpoint,
  OpenerSetup,
  TransportAcceptor,
  TransportOpener
} from '../../lib/transport/network-endpoint.js'
import type { TransportListener } from '../../lib/transport/transport.js'
import { TransportWrapper } from '../../lib/transport/transport-wrapper.js'
import type { PeerInstance } from '../../lib/types/session.js'

const PEER: PeerInstance = { id: 'one', version: '1.0.0', metadata: {} }

/** The server's end of a transport. */
class ServerEnd extends TransportWrapper implements AcceptedTransport, TransportListener {
  readonly clientProcess = 'this process'
  destroyed = false
  readonly #closeListeners: (() => void)[] = []
  #onBytes: ((bytes: number) => void) | undefined

  protected begin(): void {
    this.inner.start(this)
  }
  onOpen(): void {
    this.emitOpen()
  }
  onFrame(frame: string | Uint8Array): void {
    this.#onBytes?.(frame.length)
    this.listener.onFrame(frame)
  }
  onClose(reason: Reason): void {
    this.destroyed = true
    for (const listener of this.#closeListeners) listener()
    this.emitClose(reason)
  }
  onRawData(onBytes: (bytes: number) => void): () => void {
    this.#onBytes = onBytes
    return () => {
      this.#onBytes = undefined
    }
  }
  once(_event: 'close', listener: () => void): void {
    this.#closeListeners.push(listener)
  }
  /* c8 ignore next 3: only a client that sends too much before its hello is terminated. */
  terminate(): void {
    this.close({ code: 'connection-lost', message: 'it was terminated' })
  }
}

/** The client's end of a transport. */
class ClientEnd extends TransportWrapper implements TransportListener {
  override get peer(): PeerInstance {
    return PEER
  }
  protected begin(): void {
    this.inner.start(this)
  }
  onOpen(): void {
    this.emitOpen()
  }
  onFrame(frame: string | Uint8Array): void {
    this.listener.onFrame(frame)
  }
  onClose(reason: Reason): void {
    this.emitClose(reason)
  }
}

export class MemoryNetwork implements NetworkEndpoint {
  readonly serviceName = 'Memory'
  /** What each transport that was opened was for. */
  readonly opened: { readonly resumes: boolean; readonly session: number }[] = []
  /** The client's ends of all transports. */
  readonly transports: MemoryTransport[] = []
  openerSetup: OpenerSetup | undefined
  acceptorSetup: AcceptorSetup | undefined
  /** Whether the instance has left. */
  hasLeft = false
  #onTransport: ((transport: AcceptedTransport) => void) | undefined
  #sessions = 0

  createOpener(setup: OpenerSetup): TransportOpener {
    this.openerSetup = setup
    const session = ++this.#sessions
    return resumes => {
      this.opened.push({ resumes, session })
      const [client, server] = MemoryTransport.pair()
      this.transports.push(client)
      if (this.#onTransport) this.#onTransport(new ServerEnd(server))
      else server.close({ code: 'connection-lost', message: 'nobody is there' })
      return new ClientEnd(client)
    }
  }

  createAcceptor(setup: AcceptorSetup): TransportAcceptor {
    this.acceptorSetup = setup
    return {
      url: 'memory:Memory/one',
      open: async onTransport => {
        this.#onTransport = onTransport
      },
      leave: () => {
        this.hasLeft = true
      },
      close: async () => {
        this.#onTransport = undefined
      }
    }
  }

  /** Breaks the last transport, as a failure would. */
  sever(): void {
    this.transports.at(-1)!.close({ code: 'connection-lost', message: 'it broke' })
  }
}
