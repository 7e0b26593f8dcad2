// RPyC's registry, which knows by name where services are: registers a gateway, and finds services. Requests are UDP
// datagrams of brine, `("RPYC", command, args)`, and so are the replies.
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { clock, type Timer, unref } from '../../util/clock.js'
import { quote } from '../../util/describe.js'
import { type BrineValue, decodeBrine, encodeBrine } from './brine.js'

/** Where a registry is. It is asked directly: a broadcast would believe any machine that answers. */
export interface RegistryAddress {
  /** @default 127.0.0.1 */
  readonly host?: string | undefined
  /** @default 18811, RPyC's own */
  readonly port?: number | undefined
}

/** Registers a gateway with a registry of RPyC. */
export interface RegistryOptions extends RegistryAddress {
  /** Names of the service; the registry ignores their case. `rpyc.connect_by_service('TUTORIAL')` finds it by each. */
  readonly names: readonly string[]
}

/** Options of `findRpyc`. */
export interface FindOptions extends RegistryAddress {
  /** Time in ms for the registry to answer. @default 2000, as RPyC */
  readonly timeout?: number | undefined
}

/** Where a server of RPyC is. */
export interface RpycAddress {
  /** Name or address of its machine. */
  readonly host: string
  /** Its port. */
  readonly port: number
}

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 18811
const MAX_PORT = 0xffff
const DEFAULT_TIMEOUT_MS = 2000
/** RPyC's servers register as often. A registry forgets who was silent for 4 minutes. */
const RENEWAL_MS = 60_000
/** A registry reads no longer datagrams. */
const MAX_REQUEST_BYTES = 1500
const REPLY_LIMITS = { depth: 4, jsonBytes: 1 << 16, bigintDigits: 20 }

/**
 * Finds servers of RPyC by the name of their service, those that registered last at the end.
 *
 * @param name one of the names with which they registered; its case does not matter
 * @returns their addresses; empty if the registry knows none
 * @throws Error if the registry does not answer in time, or answers something else
 * @example
 * const [address] = await findRpyc('TUTORIAL', { host: 'registry.local' })
 * await using tutorial = connectRpyc(address ?? 'localhost:18861')
 */
export async function findRpyc(name: string, options: FindOptions = {}): Promise<RpycAddress[]> {
  const reply = await ask(options, 'QUERY', [name], options.timeout)
  if (!Array.isArray(reply) || !reply.every(isAddress))
    throw new Error(`findRpyc(${quote(name)}): the registry answered something else than addresses`)
  return reply.map(([host, port]) => ({ host, port }))
}

function isAddress(address: BrineValue): address is [host: string, port: number] {
  return (
    Array.isArray(address) &&
    address.length === 2 &&
    typeof address[0] === 'string' &&
    Number.isInteger(address[1]) &&
    address[1] > 0 &&
    address[1] <= MAX_PORT
  )
}

const REGISTRY_OPTIONS: OptionTypes<RegistryOptions> = { host: 'a string', port: 'a number', names: '' }

/** The registration of a gateway: renewed until it ends. It lets the process exit. */
export class Registration {
  /** Port of the gateway, once it listens. The registry takes the host from the datagram. */
  #port = 0
  #timer: Timer | undefined
  /** Whether the last attempt failed. One warning tells of all failures in a row. */
  #isFailing = false
  #pending: Promise<void> | undefined

  /**
   * @param call the function that takes the options, for error texts
   * @throws TypeError for options of the wrong type
   * @throws RangeError if the names are too long for one datagram
   */
  constructor(
    private readonly registry: RegistryOptions,
    call: string
  ) {
    checkOptions(`${call}: \`registry\``, registry, REGISTRY_OPTIONS)
    const { names } = registry
    if (!Array.isArray(names) || names.length === 0 || names.some(name => typeof name !== 'string'))
      throw new TypeError(`${call}: \`registry\` needs \`names\`, a list of strings`)
    encodeRequest('REGISTER', [names, MAX_PORT])
  }

  /** Registers the port of the gateway. */
  begin(port: number): void {
    this.#port = port
    this.#renew()
    this.#timer = clock.setInterval(() => this.#renew(), RENEWAL_MS)
    unref(this.#timer)
  }

  /** Removes the gateway from the registry, if that answers within 2 s. */
  async end(): Promise<void> {
    clock.clearInterval(this.#timer)
    await this.#pending
    if (this.#timer && !this.#isFailing) await ask(this.registry, 'UNREGISTER', [this.#port]).catch(() => {})
    this.#timer = undefined
  }

  #renew(): void {
    this.#pending = ask(this.registry, 'REGISTER', [this.registry.names, this.#port]).then(
      () => {
        this.#isFailing = false
      },
      error => {
        if (!this.#isFailing) process.emitWarning(`rpyc: the gateway is not registered: ${error.message}`)
        this.#isFailing = true
      }
    )
  }
}

function encodeRequest(command: string, args: readonly unknown[]): Buffer {
  const request = encodeBrine(['RPYC', command, args])
  if (request.length > MAX_REQUEST_BYTES)
    throw new RangeError(
      `the names for a registry take ${request.length} bytes, of which it reads ${MAX_REQUEST_BYTES}: use fewer`
    )
  return request
}

/** Sends a request. @returns the reply */
async function ask(
  { host = DEFAULT_HOST, port = DEFAULT_PORT }: RegistryAddress,
  command: string,
  args: readonly unknown[],
  timeoutMs = DEFAULT_TIMEOUT_MS
): Promise<BrineValue> {
  const request = encodeRequest(command, args)
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').unref()
  let timer: Timer | undefined
  try {
    return await new Promise((resolve, reject) => {
      const fail = (what: string) => reject(new Error(`the registry at ${host}:${port} ${what}`))
      timer = clock.setTimeout(() => fail(`did not answer within ${timeoutMs} ms`), timeoutMs)
      socket.on('error', error => fail(`cannot be asked: ${error.message}`))
      socket.on('message', reply => {
        try {
          resolve(decodeBrine(reply, REPLY_LIMITS))
        } catch (error) {
          fail(`answered what is no brine: ${(error as Error).message}`)
        }
      })
      // The system drops what others send to a connected socket, and tells if nobody listens.
      socket.on('connect', () => socket.send(request))
      socket.connect(port, host)
    })
  } finally {
    clock.clearTimeout(timer)
    socket.close()
  }
}
