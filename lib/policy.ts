// Who may do what: a rule for one member, and one hook for all that a peer asks for.
import { startingSession } from './call-context.js'
import { decided } from './decision.js'
import type { Rule } from './expose.js'
import type { Exposure } from './exposure.js'
import { formatCall, formatNames, inWords } from './labels.js'
import type { operate } from './operate.js'
import { Op, type OperationCode } from './protocol.js'
import { deciding } from './refusals.js'
import type { Session } from './session.js'

/** Whether the peer whose call is being started may use what is under this rule. */
export function permits(rule: Rule): boolean {
  if (!rule.if) return true
  const session = startingSession()
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

/** For what `before` of a side answered with a promise, which only its callers would learn: `onError` is told of it once. */
const told = new WeakSet<Exposure>()

function decide(exposure: Exposure, session: Session, call: PeerCall): void {
  deciding(() => {
    const answer: unknown = exposure.before!(call, session)
    try {
      decided('`before`', answer, call)
    } catch (error) {
      // Of a one-way call it is told anyway.
      if (call.kind !== 'oneway' && !told.has(exposure)) session.report(error)
      told.add(exposure)
      throw error
    }
  })
}

/** `operate` for a peer: with `before`, if there is one. */
export function policed(operateFor: typeof operate, session: Session, rules: Exposure): typeof operate {
  if (!rules.before) return operateFor
  return (op, target, path, operand, exposure, origin) => {
    const isRoot = origin?.isRoot === true
    decide(rules, session, new PeerCall(KINDS.get(op)!, target, path, argsOf(op, operand), isRoot))
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
export const askerOf = (session: Session, rules: Exposure): Ask | undefined =>
  rules.before &&
  ((kind, target, path, args) => decide(rules, session, new PeerCall(kind, target, path, args, false)))

function argsOf(op: OperationCode, operand: unknown): readonly unknown[] {
  if (op === Op.set) return [operand]
  return Array.isArray(operand) ? operand : []
}
