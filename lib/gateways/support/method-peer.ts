// The peer of a connection to a server that has methods with dotted names, but no objects and no references.

import { ExposureError } from '../../errors.js'
import { Op } from '../../protocol/messages.js'
import type { MemberName } from '../../protocol/path.js'
import { ForeignPeer, type ForeignRequest } from '../../remote/foreign.js'
import type { Description } from '../../types/description.js'
import type { Session } from '../../types/session.js'
import { giveBack } from './give-back.js'

/** What a server says of a method beside its name. */
export type MethodDetails = Pick<Description, 'parameters' | 'help' | 'input' | 'output'>

interface Member {
  readonly kind: 'function' | 'object'
  /** The dotted name of a method; for an object, of one in it. */
  readonly method: string
}

/** The methods of a server, as a tree of objects. The root is the only object that its users hold. */
export abstract class MethodPeer extends ForeignPeer<'root'> {
  /** The netref of the root, whose members are the methods. */
  readonly methods: object

  /**
   * @param bridge the session whose peer uses the methods
   * @param system name of the other system, for error texts
   */
  constructor(
    bridge: Session,
    private readonly system: string
  ) {
    super(bridge)
    this.methods = this.netref('root', 'root', 'root', false)
  }

  /** Calls a method. It reads the arguments, which may contain anything that sessions pass, before it returns. */
  protected abstract callMethod(
    name: string,
    args: readonly unknown[],
    signal: AbortSignal | undefined
  ): Promise<unknown>

  /** Calls a method whose result nobody wants. Systems that know such calls override this. */
  protected callOneWay(
    name: string,
    args: readonly unknown[],
    signal: AbortSignal | undefined
  ): Promise<unknown> {
    return this.callMethod(name, args, signal)
  }

  /** The names of all methods. */
  protected abstract listMethods(signal: AbortSignal | undefined): Promise<readonly string[]>

  /** Describes methods, in the order of their names. */
  protected abstract describeMethods(
    names: readonly string[],
    signal: AbortSignal | undefined
  ): Promise<readonly MethodDetails[]>

  /** Gives back what is in the arguments of a method that was called. Systems with streams in arguments keep those. */
  protected giveBackArguments(_name: string, args: unknown): void {
    giveBack(args)
  }

  /* c8 ignore next 2: `methods` is held as long as this peer. */
  /** The server does not know that it is held. */
  protected onReleased(): void {}

  protected async perform({ op, path, operand, label, signal }: ForeignRequest<'root'>): Promise<unknown> {
    try {
      if (path.some(name => typeof name === 'symbol')) throw this.#refusal(label)
      switch (op) {
        case Op.call:
          return this.callMethod(path.join('.'), operand as unknown[], signal)
        case Op.oneway:
          return this.callOneWay(path.join('.'), operand as unknown[], signal)
        case Op.keys:
          return [...(await this.#membersOf(path, signal)).keys()]
        case Op.has:
          return (await this.#membersOf(path.slice(0, -1), signal)).has(path.at(-1) as string)
        case Op.describe:
          return await this.#describe(path, signal)
        default:
          throw this.#refusal(label)
      }
    } finally {
      this.giveBackArguments(path.map(String).join('.'), operand)
    }
  }

  /** The members of an object by name; each is a method, or an object that has methods. */
  async #membersOf(
    path: readonly MemberName[],
    signal: AbortSignal | undefined
  ): Promise<Map<string, Member>> {
    const prefix = path.map(name => `${String(name)}.`).join('')
    const members = new Map<string, Member>()
    for (const method of [...(await this.listMethods(signal))].sort()) {
      if (!method.startsWith(prefix)) continue
      const [name, ...others] = method.slice(prefix.length).split('.') as [string, ...string[]]
      // A method may have the name of an object, too.
      if (others.length === 0 || !members.has(name))
        members.set(name, { kind: others.length === 0 ? 'function' : 'object', method })
    }
    return members
  }

  async #describe(path: readonly MemberName[], signal: AbortSignal | undefined): Promise<Description[]> {
    const members = [...(await this.#membersOf(path, signal))]
    const methods = members.flatMap(([, { kind, method }]) => (kind === 'function' ? [method] : []))
    const details = [...(methods.length > 0 ? await this.describeMethods(methods, signal) : [])]
    return members.map(([name, { kind }]) => ({ name, kind, ...(kind === 'function' && details.shift()) }))
  }

  #refusal(label: string): ExposureError {
    return new ExposureError('not-exposed', `${label}: ${this.system} has methods and nothing else: call one`)
  }
}
