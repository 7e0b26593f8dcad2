// Who may do what: a rule for one member, and one hook for all that a peer asks for.
import { callSession } from './call-context.js'
import { decided } from './decision.js'
import type { Rule } from './expose.js'
import { formatCall, formatNames, inWords } from './labels.js'
import type { operate } from './operate.js'
import type { CommonOptions } from './options.js'
import { Op, type OperationCode } from './protocol.js'
import { deciding } from './refusals.js'
import type { Session } from './session.js'

/** Whether the peer whose call is being started may use what is under this rule. */
export function permits(rule: Rule): boolean {
  if (!rule.if) return true
  const session = callSession()
  try {
    return Boolean(decided('@exposed({ if })', rule.if(session)))
  } catch (error) {
    session.report(error)
    return false
  }
}

type Kind = { [K in keyof typeof Op]: (typeof Op)[K] extends OperationCode ? K : never }[keyof typeof Op]
const KINDS = new Map(Object.entries(Op).map(([kind, op]) => [op as number, kind as Kind]))

/** What a peer asks for, before it is done. As a string it is the call as one would write it. */
export class PeerCall {
  constructor(
    readonly kind: Kind,
    /** What the peer starts from: the root, an object it holds, or the result of a call of its. */
    readonly target: unknown,
    /** The names from there on, as the peer says them. */
    readonly path: readonly (string | symbol)[],
    /** The arguments; of `set`, the value. They are the very ones that the method is given. */
    readonly args: readonly unknown[],
    private readonly isRoot: boolean
  ) {}

  toString(): string {
    const target = this.isRoot ? 'root' : inWords(this.target)
    const operand = this.kind === 'set' ? this.args[0] : this.args
    return formatCall(Op[this.kind], target + formatNames(this.path), operand)
  }
}

function decide(before: Before, session: Session, call: PeerCall): void {
  deciding(() => decided('`before`', before(call, session), call))
}

type Before = NonNullable<CommonOptions['before']>

/** `operate` for a peer: with `before`, if there is one. */
export function policed(
  operateFor: typeof operate,
  session: Session,
  before: CommonOptions['before']
): typeof operate {
  if (!before) return operateFor
  return (op, target, path, operand, exposure, origin) => {
    const isRoot = origin?.isRoot === true
    decide(before, session, new PeerCall(KINDS.get(op)!, target, path, argsOf(op, operand), isRoot))
    return operateFor(op, target, path, operand, exposure, origin)
  }
}

/** What asks `before` for what is asked of a flow. */
export type Ask = (
  kind: 'call' | 'iterate',
  target: object,
  path: readonly string[],
  args: readonly unknown[]
) => void

/** For what is asked of flows, if there is a `before`. */
export const askerOf = (session: Session, before: CommonOptions['before']): Ask | undefined =>
  before &&
  ((kind, target, path, args) => decide(before, session, new PeerCall(kind, target, path, args, false)))

function argsOf(op: OperationCode, operand: unknown): readonly unknown[] {
  if (op === Op.set) return [operand]
  return Array.isArray(operand) ? operand : []
}
