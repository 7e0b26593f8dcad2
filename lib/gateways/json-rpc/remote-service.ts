// The root of a JSON-RPC server as a netref: its calls are calls of the server.

import { ExposureError, type Reason } from '../../errors.js'
import { Op } from '../../protocol/messages.js'
import { ForeignPeer, type ForeignRequest } from '../../remote/foreign.js'
import type { Description } from '../../types/description.js'
import type { Session } from '../../types/session.js'
import { giveBack } from '../support/give-back.js'
import type { Channel } from './channel.js'
import { JsonRpcError } from './remote-error.js'
import { toJsonText } from './value-text.js'

/** The only foreign object. */
const ROOT = 'root'

/** Maximum number of help texts that are asked for at once. */
const MAX_HELP_TEXTS = 100

export class RemoteService extends ForeignPeer<typeof ROOT> {
  /** The netref of the server. */
  readonly netrefOfRoot: object

  constructor(
    bridge: Session,
    private readonly channel: Channel,
    private readonly maxDepth: number
  ) {
    super(bridge)
    this.netrefOfRoot = this.netref(ROOT, ROOT, 'JsonRpcServer', false)
  }

  /** Ends all calls. */
  override end(reason: Reason): void {
    super.end(reason)
    this.channel.close()
  }

  protected perform({ op, path, operand, label, signal }: ForeignRequest<typeof ROOT>): unknown {
    const names = path.map(String)
    switch (op) {
      case Op.call:
      case Op.oneway:
        return this.#call(names.join('.'), operand as unknown[], op === Op.oneway, signal)
      case Op.describe:
        return this.#describe(names, signal)
      case Op.keys:
        return this.#describe(names, signal).then(members => members.map(({ name }) => name))
      case Op.has:
        return this.#describe(names.slice(0, -1), signal).then(members =>
          members.some(({ name }) => name === names.at(-1))
        )
      default:
        giveBack(operand)
        throw new ExposureError('not-exposed', `${label}: a JSON-RPC server has only methods to call`)
    }
  }

  protected onReleased(): void {}

  #call(
    method: string,
    args: readonly unknown[],
    isNotification = false,
    signal?: AbortSignal
  ): Promise<unknown> {
    try {
      const params = `[${args.map((arg, i) => toJsonText(arg, ['args', i], this.maxDepth)).join(',')}]`
      return this.channel.send({ method, params, isNotification, signal })
    } finally {
      giveBack(args)
    }
  }

  /** The members of an object on the server: those of `rpc.discover`, or else of `system.listMethods`. */
  async #describe(names: readonly string[], signal: AbortSignal | undefined): Promise<Description[]> {
    const prefix = names.map(name => `${name}.`).join('')
    const methods = await this.#discover(prefix, signal)
    const members = new Map<string, Description>()
    for (const { name, ...method } of methods) {
      if (!name.startsWith(prefix)) continue
      const [member, ...rest] = name.slice(prefix.length).split('.') as [string, ...string[]]
      if (rest.length === 0) members.set(member, { name: member, ...method })
      else if (!members.has(member)) members.set(member, { name: member, kind: 'object' })
    }
    return [...members.values()]
  }

  async #discover(prefix: string, signal: AbortSignal | undefined): Promise<Description[]> {
    try {
      const document = await this.#call('rpc.discover', [], false, signal)
      return (document as OpenRpcDocument).methods.map(descriptionOf)
    } catch (error) {
      if (!(error instanceof JsonRpcError)) throw error
    }
    const listed = (await this.#call('system.listMethods', [], false, signal)) as unknown[]
    const names = listed.map(String)
    const described = names.filter(name => name.startsWith(prefix)).slice(0, MAX_HELP_TEXTS)
    const helpTexts = await Promise.all(
      described.map(name => this.#call('system.methodHelp', [name], false, signal).catch(() => ''))
    )
    const help = new Map(described.map((name, i) => [name, helpTexts[i]]))
    return names.map(name => ({
      name,
      kind: 'function',
      ...(help.get(name) ? { help: String(help.get(name)) } : {})
    }))
  }
}

/** What is read of a document of OpenRPC. */
interface OpenRpcDocument {
  readonly methods: readonly {
    readonly name: string
    readonly summary?: string
    readonly description?: string
    readonly params?: readonly { readonly name: string; readonly required?: boolean }[]
  }[]
}

function descriptionOf(method: OpenRpcDocument['methods'][number]): Description {
  const { name, params = [], summary, description: help = summary } = method
  const parameters = params.map(({ name, required }) =>
    required || name.startsWith('...') ? String(name) : `${name}?`
  )
  return {
    name: String(name),
    kind: 'function',
    parameters,
    ...(help !== undefined && { help: String(help) })
  }
}
