// Serves the calls of clients, each by a session of its own.

import { LimitError } from '../../errors.js'
import { Netref } from '../../index.js'
import type { GatewayClient, GatewayConnection, MultiplexedRequest } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { startDeadline } from '../../util/deadline.js'
import { giveBack } from '../support/give-back.js'
import { describeIfExposed } from '../support/introspection.js'
import type { Rpc } from './definition.js'
import type { IncomingCall } from './incoming-call.js'
import { iterableOf } from './iterable.js'
import { argumentsOf, memberNamesOf, memberOf, ownerOf } from './methods.js'
import { OK, StatusError, statusOf } from './status.js'

export class CallServer {
  readonly #rpcs: ReadonlyMap<string, Rpc>
  #hasChecked = false

  constructor(rpcs: readonly Rpc[]) {
    this.#rpcs = new Map(rpcs.map(rpc => [rpc.path, rpc]))
  }

  /** The paths of the methods. */
  get paths(): Iterable<string> {
    return this.#rpcs.keys()
  }

  has(path: string): boolean {
    return this.#rpcs.has(path)
  }

  /** Serves a call until it has ended. */
  serve(call: IncomingCall, request: MultiplexedRequest, connection: GatewayConnection): void {
    const rpc = this.#rpcs.get(request.path)!
    connection
      .serveRequest(request, client => untilAborted(this.#serve(rpc, call, client), call.signal))
      .then(
        () => call.finish(OK),
        error => call.finish(statusOf(error, connection.exposeStacks))
      )
  }

  async #serve(rpc: Rpc, call: IncomingCall, client: GatewayClient): Promise<void> {
    const { root } = await client.openSession()
    const request = new Request(rpc, call, client)
    if (!this.#hasChecked) await this.#check(root, client)
    const { method, parameters } = await memberOf(root, rpc)
    const args = rpc.requestStream
      ? [request.messages()]
      : argumentsOf(parameters, rpc.request.type, await request.onlyMessage())
    const result = await Netref.with(method, { signal: call.signal })(...args).catch(error => {
      throw request.failure ?? error
    })
    try {
      const encode = (value: unknown, ...path: (string | number)[]) =>
        fitted(() => rpc.reply.encode(value, path, client.limits))
      if (!rpc.responseStream) return await call.send(encode(result, 'result'))
      let index = 0
      for await (const item of fitted(() => iterableOf(result, 'result')))
        await call.send(encode(item, 'result', index++))
    } catch (error) {
      throw request.failure ?? error
    } finally {
      giveBack(result)
    }
  }

  /** Reports the methods that have no member in the service, once. */
  async #check(root: RemoteHandle<unknown>, client: GatewayClient): Promise<void> {
    this.#hasChecked = true
    const missing: Rpc[] = []
    for (const rpc of this.#rpcs.values()) {
      const members = await describeIfExposed(ownerOf(root, rpc), false)
      const names = members.map(({ name }) => name)
      const isThere = memberNamesOf(rpc).some(name => names.includes(name))
      // A service that does not describe itself may have it.
      if (!isThere && names.length > 0) missing.push(rpc)
    }
    if (missing.length === 0) return
    const list = missing.map(({ path, names }) => `\`${names.join('.')}\` (${path})`).join(', ')
    client.report(
      new TypeError(
        `grpc: the service exposes no member ${list}: calls of it get UNIMPLEMENTED; expose it, or remove the rpc`
      )
    )
  }
}

/** A request: its messages, and why they cannot be read. */
class Request {
  /** Set if a message cannot be read. */
  failure: unknown

  constructor(
    private readonly rpc: Rpc,
    private readonly call: IncomingCall,
    private readonly client: GatewayClient
  ) {}

  /** The message of a method that takes one. */
  async onlyMessage(): Promise<Record<string, unknown>> {
    const { call, client } = this
    const { pauseMs } = client.limits
    const deadline = startDeadline(pauseMs, () =>
      call.abort(
        new StatusError('DEADLINE_EXCEEDED', `the message took longer than ${pauseMs} ms (limits.pauseMs)`)
      )
    )
    call.signal.addEventListener('abort', () => deadline.stop())
    const message = await call.read()
    const second = message && (await call.read())
    deadline.stop()
    if (!message || second)
      throw new StatusError(
        'UNIMPLEMENTED',
        `${this.rpc.path} takes one message, not ${second ? 'more' : 'none'}`
      )
    return this.#decode(message)
  }

  /** The messages of a stream. */
  async *messages(): AsyncGenerator<Record<string, unknown>, void> {
    try {
      for (let message = await this.call.read(); message; message = await this.call.read())
        yield this.#decode(message)
    } catch (error) {
      this.failure = error
      throw error
    }
  }

  #decode(message: Buffer): Record<string, unknown> {
    return this.rpc.request.decode(message, this.client.limits)
  }
}

/** Makes what a method has returned fit for the client. @throws StatusError for a value that does not fit, LimitError for one that is too large */
function fitted<T>(fit: () => T): T {
  try {
    return fit()
  } catch (error) {
    if (error instanceof LimitError) throw error
    throw new StatusError('INTERNAL', (error as Error).message)
  }
}

/** A promise that rejects when a signal aborts. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
