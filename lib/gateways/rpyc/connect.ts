// Defines `connectRpyc`, which connects to a server of RPyC.

import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls'
import {
  type Bridge,
  connectForeign,
  FOREIGN_CONNECT_OPTIONS,
  type ForeignConnectOptions
} from '../../client/foreign.js'
import type { Reason } from '../../errors.js'
import type { Connection } from '../../index.js'
import type { Any } from '../../util/any.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { type Deadline, startDeadline } from '../../util/deadline.js'
import { describeValue, quote } from '../../util/describe.js'
import { isPort, parseHostPort } from '../support/host-port.js'
import { type BridgeSettings, RpycBridge } from './bridge.js'
import type { RpycVersion } from './channel.js'
import type { RpycAddress } from './registry.js'

/** Options of `connectRpyc`. */
export interface RpycConnectOptions extends ForeignConnectOptions {
  /**
   * Major version of the server's RPyC; 4 and 5 speak alike. Versions do not understand each other, and nothing tells them
   * before the first message: to a server of version 5 the option saves a connection that it closes.
   *
   * @default 6, then 5 if the server closes the connection
   */
  readonly version?: RpycVersion | undefined
  /**
   * Connects by TLS: options of `tls.connect`, such as `ca`, and `cert` and `key` if the server asks for a certificate.
   * `true` stands for no options.
   *
   * @default no TLS
   */
  readonly tls?: boolean | TlsOptions | undefined
  /**
   * Whether lists, dicts, sets and tuples that a call returns are copied, as netref copies plain data. Without it they are
   * netrefs. Those that are read as attributes are netrefs in any case: `Netref.obtain` copies them.
   *
   * @default true
   */
  readonly copies?: boolean | undefined
}

const RPYC_CONNECT_OPTIONS: OptionTypes<RpycConnectOptions> = {
  ...FOREIGN_CONNECT_OPTIONS,
  version: 'a number',
  tls: '',
  copies: 'a boolean'
}
/** The port of `rpyc_classic`. */
const DEFAULT_PORT = 18812
const CALL = 'connectRpyc'

/**
 * Connects to a server of RPyC, the remote objects of Python. Its objects are netrefs like any other: their members can be
 * called, read and set, iterated, and passed on to a third side. Python may call the functions and objects that it is
 * passed, and `service`. An exception is an `Error` with the name of its class, and `module` and `args`.
 *
 * A server that does not answer within `limits.helloMs` is `unreachable`.
 *
 * @param address as `host:port`, or one that `findRpyc` found. The default port is 18812, that of `rpyc_classic`
 * @throws TypeError for an invalid address or option
 * @example
 * await using python = connectRpyc<{ add(a: number, b: number): number }>('localhost:18861')
 * console.log(await python.root.add(1, 2)) // 3
 */
export function connectRpyc<T = Any>(
  address: string | RpycAddress,
  options: RpycConnectOptions = {}
): Connection<T> {
  checkOptions(CALL, options, RPYC_CONNECT_OPTIONS)
  const { version, tls, copies = true, ...foreignOptions } = options
  if (version !== undefined && version !== 5 && version !== 6)
    throw new TypeError(`${CALL}: the version is 5 or 6, not ${describeValue(version)}`)
  if (typeof tls !== 'boolean' && tls !== undefined && (typeof tls !== 'object' || tls === null))
    throw new TypeError(`${CALL}: \`tls\` takes a boolean or an object, not ${describeValue(tls)}`)
  const target = parseAddress(address)
  const { exposeStacks = false } = options
  return connectForeign<T>(
    (bridge, limits) =>
      new Opening(bridge, target, tls === true ? {} : tls || undefined, {
        limits,
        exposeStacks,
        copies
      }).open(version),
    foreignOptions,
    CALL
  )
}

function parseAddress(address: unknown): RpycAddress {
  const { host, port } = (typeof address === 'string' ? parseText(address) : address) as Partial<RpycAddress>
  if (typeof host === 'string' && host !== '' && isPort(port)) return { host, port }
  throw invalidAddress(address)
}

function parseText(text: string): RpycAddress {
  const parsed = parseHostPort(text)
  if (!parsed) throw invalidAddress(text)
  return { host: parsed.host, port: parsed.port ?? DEFAULT_PORT }
}

const invalidAddress = (address: unknown) =>
  new TypeError(
    `${CALL}: ${typeof address === 'string' ? quote(address) : describeValue(address)} is not an address; pass one such as "localhost:18812"`
  )

/** Opens one connection, in bounded time. */
class Opening {
  #socket: Socket | undefined
  /** Why the opening has ended, unless the server ended it. */
  #error: Error | undefined
  #hasConnected = false
  #state: 'opening' | 'open' | 'failed' = 'opening'
  readonly #deadline: Deadline

  constructor(
    private readonly session: Bridge,
    private readonly address: RpycAddress,
    private readonly tls: TlsOptions | undefined,
    private readonly settings: Omit<BridgeSettings, 'version' | 'onClosed'>
  ) {
    const { helloMs } = settings.limits
    this.#deadline = startDeadline(helloMs, () =>
      this.#abort(`the server did not answer within ${helloMs} ms (limits.helloMs)`)
    )
    void session.closed.then(() => this.#abort('the connection was closed before the server answered'))
  }

  /** @returns the root of the server */
  async open(version: RpycVersion | undefined): Promise<object> {
    try {
      const root = await this.#fetchRoot(version ?? 6).catch(error => {
        // A server of version 5 closes the connection, as it cannot read the request.
        if (version !== undefined || !this.#hasConnected || this.#error) throw error
        return this.#fetchRoot(5)
      })
      this.#finish('open')
      return root
    } catch (error) {
      this.#finish('failed')
      this.#socket?.destroy()
      throw this.#error ?? error
    }
  }

  #finish(state: 'open' | 'failed'): void {
    this.#state = state
    this.#deadline.stop()
  }

  #abort(message: string): void {
    if (this.#state !== 'opening') return
    this.#error ??= new Error(message)
    this.#socket?.destroy(this.#error)
  }

  async #fetchRoot(version: RpycVersion): Promise<object> {
    const stream = await this.#connect()
    const onClosed = (reason: Reason) => {
      if (this.#state === 'open') this.session.end(reason)
    }
    return new RpycBridge(this.session, stream, { ...this.settings, version, onClosed }).fetchRoot()
  }

  async #connect(): Promise<Socket> {
    const { host, port } = this.address
    const socket = this.tls
      ? connectTls({ host, port, servername: isIP(host) ? '' : host, ...this.tls })
      : connectTcp(port, host)
    this.#socket = socket.setNoDelay()
    await once(socket, this.tls ? 'secureConnect' : 'connect')
    this.#hasConnected = true
    return socket
  }
}
