// The request of a peer, as the `before` hook receives it.

import { formatCall, formatNames } from '../protocol/format.js'
import { Op, type OperationName } from '../protocol/messages.js'
import type { Session } from '../types/session.js'
import { safeDescribe } from '../util/describe.js'
import type { SynchronousResult } from './hook-result.js'

/** A request of a peer, before it is performed. As a string, it is the call in source form. */
export class PeerCall {
  constructor(
    /** What the peer asks for: `call`, `get`, `set`, … */
    readonly kind: OperationName,
    /** The target of the request: the root, an object that the peer holds, or the result of a call of the peer. */
    readonly target: unknown,
    /** The member names from the target on, as the peer uses them. */
    readonly path: readonly (string | symbol)[],
    /** The arguments, or the value of `set`. The method receives the same objects. */
    readonly args: readonly unknown[],
    private readonly isRoot: boolean
  ) {}

  /** The call in source form, with up to 24 characters of each string: `root.add(1, 2)`. */
  toString(): string {
    const target = this.isRoot ? 'root' : safeDescribe(this.target)
    const operand = this.kind === 'set' ? this.args[0] : this.args
    return formatCall(Op[this.kind], target + formatNames(this.path), operand)
  }
}

/** The hook that receives each request of a peer. */
export interface Before {
  /**
   * Decides on the requests of the peer, or records them. It is called before each call, read and other request is
   * performed, and must decide synchronously. If it throws, the peer receives the error and the request is not
   * performed. The netrefs among the arguments are then released, unless they also came in another call.
   *
   * @default every request for an exposed member is allowed
   * @example
   * await serve(Shop, { before: (call, session) => audit.write(`${session.identity}: ${call}`) })
   */
  before?(call: PeerCall, session: Session): SynchronousResult
}
