// The connection of a bus to NATS: opened at its first use, and watched for disconnections.
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node'
import { NetrefError } from '../../errors.js'
import { Emitter } from '../../util/emitter.js'
import { redactCredentials } from '../../util/printable.js'
import { connectionEnded } from './nats-error.js'
import { loadTransport } from './packages.js'
import { unlessLost } from './unless-lost.js'

/** The events of a connection. */
export interface BusConnectionEvents {
  /** NATS cannot be reached; the package of NATS tries to reconnect. What was not written is lost. */
  disconnected: undefined
  /** NATS is reached again. The subscriptions are sent to it, but it may not have read them. */
  reconnected: undefined
  /** NATS reports an error, such as that it does not allow a subject. It has been reported. */
  error: Error
  /** The user closes the bus. Messages published now are still sent. */
  closing: undefined
  /** The connection is closed for good: by `close`, by its owner, or since NATS refuses it. */
  closed: Error | undefined
}

/** How a connection of the bus reconnects: for ever, and soon. The user's options take precedence. */
const RECONNECT_OPTIONS = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: 250,
  reconnectJitter: 100,
  pingInterval: 10_000
}

export class BusConnection {
  readonly events: Emitter<BusConnectionEvents>
  #opening: Promise<NatsConnection> | undefined
  #connection: NatsConnection | undefined
  #isConnected = false
  #isClosed = false
  #whyClosed = 'the bus is closed'
  #resolveWhenClosed!: () => void
  /** Resolves when the bus is closed. */
  readonly #whenClosed = new Promise<void>(resolve => {
    this.#resolveWhenClosed = resolve
  })
  #maxPayloadBytes = 0

  /** No log shows it: it may have a password. */
  readonly #target: ConnectionOptions | NatsConnection

  constructor(
    /** Options of a connection to be opened, or a connection that its owner has opened, and closes. */
    target: ConnectionOptions | NatsConnection,
    /** Called with each failure that no code awaits. */
    readonly report: (error: unknown) => void
  ) {
    this.#target = target
    this.events = new Emitter(['disconnected', 'reconnected', 'error', 'closing', 'closed'], report)
  }

  /**
   * The connection. It may be disconnected.
   *
   * @throws NetrefError `unreachable`, `unauthorized` for wrong credentials, and `closed` for a closed bus
   */
  open(): Promise<NatsConnection> {
    if (this.#isClosed)
      return Promise.reject(new NetrefError('closed', `${this.#whyClosed}; create another bus`))
    this.#opening ??= this.#open().catch(cause => {
      this.#opening = undefined
      if (this.#isClosed)
        throw new NetrefError('closed', 'the bus was closed before NATS was reached', { cause })
      const { name, message } = cause as Error
      const code = name === 'AuthorizationError' ? 'unauthorized' : 'unreachable'
      throw new NetrefError(code, `cannot reach NATS at ${this.#servers}: ${message}`, { cause })
    })
    return this.#opening
  }

  /** The connection, if it is open and NATS is reached. */
  get connected(): NatsConnection | undefined {
    return this.#isConnected ? this.#connection : undefined
  }

  /** Most bytes of a message, headers included. NATS states it anew at each connection. */
  get maxPayloadBytes(): number {
    return (this.#maxPayloadBytes = this.connected?.info?.max_payload ?? this.#maxPayloadBytes)
  }

  /** For error texts. The default is that of the package of NATS. */
  get #servers(): string {
    const { servers = 'localhost:4222' } = this.#target as ConnectionOptions
    return redactCredentials([servers].flat().join(', '))
  }

  async #open(): Promise<NatsConnection> {
    const target = this.#target
    const connection = 'publish' in target ? target : await this.#connect(target)
    this.#connection = connection
    this.#isConnected = true
    void this.#watch(connection)
    void connection.closed().then(error => this.#onEnd(error || undefined))
    return connection
  }

  /** The connection has ended: by the bus, by its owner, or since NATS is lost for good, which is reported. */
  #onEnd(error: Error | undefined): void {
    const cause = error ?? (this.#isConnected ? undefined : new Error('it was lost'))
    this.#isConnected = false
    if (this.#isClosed) return this.events.emit('closed', undefined)
    this.#isClosed = true
    const reason = cause && connectionEnded(cause)
    this.#whyClosed = reason?.message ?? 'the connection to NATS was closed'
    if (reason) this.report(reason)
    this.events.emit('closed', cause)
  }

  /** Connects. A bus that is closed meanwhile does not wait for NATS, which may never answer. */
  async #connect(target: ConnectionOptions): Promise<NatsConnection> {
    const connecting = loadTransport('nats').connect({
      ...RECONNECT_OPTIONS,
      ignoreAuthErrorAbort: true,
      ...target
    })
    const connection = await Promise.race([connecting, this.#whenClosed])
    if (connection) return connection
    connecting.then(late => late.close()).catch(() => {})
    throw new Error('the bus was closed')
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      // The connection of another owner lives on.
      if (this.#isClosed) return
      if (status.type === 'disconnect') {
        this.#isConnected = false
        this.events.emit('disconnected', undefined)
      } else if (status.type === 'reconnect') {
        this.#isConnected = true
        this.events.emit('reconnected', undefined)
      } else if (status.type === 'error') {
        this.report(status.error)
        this.events.emit('error', status.error)
      }
    }
  }

  /**
   * Resolves when NATS has read all that was sent before, or is disconnected. What it has lost, because it was away, is not
   * sent again.
   */
  async flush(): Promise<void> {
    const connection = this.#connection
    if (connection) await unlessLost(this.events, connection.flush()).catch(() => {})
  }

  /** Closes the connection, unless its owner does. */
  async close(): Promise<void> {
    if (!this.#isClosed) this.events.emit('closing', undefined)
    this.#isClosed = true
    this.#resolveWhenClosed()
    const connection = await this.#opening?.catch(() => undefined)
    if (connection && !('publish' in this.#target)) await connection.close()
    else {
      this.#isConnected = false
      this.events.emit('closed', undefined)
    }
  }
}
