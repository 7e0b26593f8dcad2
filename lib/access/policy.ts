// Who may do what: a rule for one member, and one hook for all that a peer asks for.
import type { Ask } from '../remote/streams/types.js'
import type { Exposure } from './access-control.js'
import type { ReportingSession } from './call-context.js'
import { decided, deciding } from './decision.js'
import type { operate } from './operations.js'
import { argsOf, KINDS, PeerCall } from './peer-call.js'

/** For what `before` of a side answered with a promise, which only its callers would learn: `onError` is told of it once. */
const told = new WeakSet<Exposure>()

function decide(exposure: Exposure, session: ReportingSession, call: PeerCall): void {
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
export function policed(
  operateFor: typeof operate,
  session: ReportingSession,
  rules: Exposure
): typeof operate {
  if (!rules.before) return operateFor
  return (op, target, path, operand, exposure, origin) => {
    const isRoot = origin?.isRoot === true
    decide(rules, session, new PeerCall(KINDS.get(op)!, target, path, argsOf(op, operand), isRoot))
    return operateFor(op, target, path, operand, exposure, origin)
  }
}

/** For what is asked of flows, if there is a `before`. */
export const askerOf = (session: ReportingSession, rules: Exposure): Ask | undefined =>
  rules.before &&
  ((kind, target, path, args) => decide(rules, session, new PeerCall(kind, target, path, args, false)))
