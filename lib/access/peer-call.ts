// A peer's request, as the hook `before` sees it.

import { formatCall, formatNames } from '../protocol/format.js'
import { Op, type OperationName } from '../protocol/messages.js'
import type { Session } from '../types/session.js'
import { safeDescribe } from '../util/describe.js'
import type { SynchronousResult } from './decision.js'

/** What a peer asks for, before it is done. As a string it is the call as one would write it. */
export class PeerCall {
  constructor(
    readonly kind: OperationName,
    /** What the peer starts from: the root, an object it holds, or the result of a call of its. */
    readonly target: unknown,
    /** The names from there on, as the peer says them. */
    readonly path: readonly (string | symbol)[],
    /** The arguments; of `set`, the value. They are the very ones that the method is given. */
    readonly args: readonly unknown[],
    private readonly isRoot: boolean
  ) {}

  toString(): string {
    const target = this.isRoot ? 'root' : safeDescribe(this.target)
    const operand = this.kind === 'set' ? this.args[0] : this.args
    return formatCall(Op[this.kind], target + formatNames(this.path), operand)
  }
}

/** The hook that sees each request of a peer. */
export interface Before {
  /**
   * Decides on, or takes down, all that the peer asks for: told of each call, read and the like before it is done, and
   * at once. What it throws, the peer gets, and nothing is done: netrefs among the arguments are given back then, unless
   * they came in another call, too.
   *
   * @default everything that is exposed may be done
   * @example
   * before(call, session) { audit.write(`${session.identity}: ${call}`) }
   */
  before?(call: PeerCall, session: Session): SynchronousResult
}
