// The peer of a connection to a server of JSON-RPC: calls its methods.

import type { Reason } from '../../errors.js'
import type { Session } from '../../types/session.js'
import { type TextLimits, toJsonText } from '../support/json-value.js'
import { type MethodDetails, MethodPeer } from '../support/method-peer.js'
import type { Channel } from './channel.js'
import { readOpenRpc } from './open-rpc-reader.js'
import { JsonRpcError } from './remote-error.js'

/** Maximum number of help texts that are asked for at once. */
const MAX_HELP_TEXTS = 100

export class RemoteService extends MethodPeer {
  /** What the server's OpenRPC document says of its methods, by name; undefined for a server without one. */
  #details: ReadonlyMap<string, MethodDetails> | undefined

  constructor(
    bridge: Session,
    private readonly channel: Channel,
    private readonly limits: TextLimits
  ) {
    super(bridge, 'a JSON-RPC server')
  }

  /** Ends all calls. */
  override end(reason: Reason): void {
    super.end(reason)
    this.channel.close()
  }

  protected async callMethod(
    method: string,
    args: readonly unknown[],
    signal: AbortSignal | undefined,
    isNotification = false
  ): Promise<unknown> {
    const params = args.map((arg, i) => toJsonText(arg, ['args', i], this.limits, 'JSON-RPC'))
    return this.channel.send({ method, params: `[${params.join(',')}]`, isNotification, signal })
  }

  protected override callOneWay(
    method: string,
    args: readonly unknown[],
    signal: AbortSignal | undefined
  ): Promise<unknown> {
    return this.callMethod(method, args, signal, true)
  }

  /** The names in `rpc.discover`, or else those of `system.listMethods`. */
  protected async listMethods(signal: AbortSignal | undefined): Promise<string[]> {
    this.#details = await this.#discover(signal)
    if (this.#details) return [...this.#details.keys()]
    const names = await this.callMethod('system.listMethods', [], signal)
    return (names as unknown[]).map(String)
  }

  protected async describeMethods(
    names: readonly string[],
    signal: AbortSignal | undefined
  ): Promise<MethodDetails[]> {
    const details = this.#details
    if (details) return names.map(name => details.get(name)!)
    const helpTexts = await Promise.all(
      names.slice(0, MAX_HELP_TEXTS).map(name => this.#helpOf(name, signal))
    )
    return names.map((_, i) => (helpTexts[i] ? { help: helpTexts[i] } : {}))
  }

  async #helpOf(name: string, signal: AbortSignal | undefined): Promise<string> {
    const help = await this.callMethod('system.methodHelp', [name], signal).catch(ignoreAnswer)
    return typeof help === 'string' ? help : ''
  }

  async #discover(signal: AbortSignal | undefined): Promise<Map<string, MethodDetails> | undefined> {
    const document = await this.callMethod('rpc.discover', [], signal).catch(ignoreAnswer)
    if (document === undefined) return undefined
    return readOpenRpc(document)
  }
}

/** A server that answers with an error does not have the method. */
function ignoreAnswer(error: unknown): undefined {
  if (!(error instanceof JsonRpcError)) throw error
}
