// The peer of a connection to a server of gRPC: calls its methods.

import { ExposureError } from '../../errors.js'
import type { Session } from '../../types/session.js'
import { quote } from '../../util/describe.js'
import { didYouMean } from '../../util/nearest.js'
import { giveBack } from '../support/give-back.js'
import { type MethodDetails, MethodPeer } from '../support/method-peer.js'
import type { Rpc } from './definition.js'
import { iterableOf } from './iterable.js'
import { type CallSetup, OutgoingCall } from './outgoing-call.js'

export class GrpcPeer extends MethodPeer {
  /** The methods by dotted name. */
  readonly #rpcs = new Map<string, Rpc>()

  constructor(
    bridge: Session,
    rpcs: readonly Rpc[],
    private readonly setup: CallSetup
  ) {
    super(bridge, 'gRPC')
    for (const rpc of rpcs) this.#rpcs.set(rpc.names.join('.'), rpc)
    void bridge.closed.then(reason => {
      this.end(reason)
      setup.client.close()
    })
  }

  protected async callMethod(
    name: string,
    args: readonly unknown[],
    signal: AbortSignal | undefined
  ): Promise<unknown> {
    const rpc = this.#rpcAt(name)
    const call = new OutgoingCall(this.setup, rpc, signal)
    const [argument, ...others] = args
    if (others.length > 0) throw new TypeError(`${name} takes one argument, not ${args.length}`)
    if (rpc.requestStream) {
      const messages = iterableOf(argument, 'args[0]')
      return rpc.responseStream ? call.stream(messages) : await call.clientStream(messages)
    }
    const message = rpc.request.encode(argument, ['args[0]'], this.setup.limits)
    return rpc.responseStream ? call.stream(message) : await call.unary(message)
  }

  /** The messages of a stream are read while the call runs. */
  protected override giveBackArguments(name: string, args: unknown): void {
    if (!this.#find(name)?.requestStream) giveBack(args)
  }

  /** `sayHello` is `SayHello`, too. */
  #find(name: string): Rpc | undefined {
    const capital = name.replace(/[^.]*$/, last => last.charAt(0).toUpperCase() + last.slice(1))
    return this.#rpcs.get(name) ?? this.#rpcs.get(capital)
  }

  #rpcAt(name: string): Rpc {
    const rpc = this.#find(name)
    if (rpc) return rpc
    const hint = didYouMean(name, [...this.#rpcs.keys()], '"')
    throw new ExposureError('not-exposed', `the service has no method ${quote(name)}${hint}`)
  }

  protected async listMethods(): Promise<string[]> {
    return [...this.#rpcs.keys()]
  }

  protected async describeMethods(names: readonly string[]): Promise<MethodDetails[]> {
    return names.map(name => {
      const { request, help } = this.#rpcAt(name)
      return {
        parameters: request.type.fields.size === 0 ? [] : ['message'],
        ...(help !== undefined && { help })
      }
    })
  }
}
