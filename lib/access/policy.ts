// Who may do what: a rule for one member, and one hook for all that a peer asks for.
import { nameOf, operandsOf } from '../protocol/messages.js'
import type { Ask as BeforeStreamOperation } from '../remote/streams/types.js'
import type { ExposureSettings } from './access-control.js'
import type { ReportingSession } from './call-context.js'
import { checkHookResult, recordBeforeHookError } from './decision.js'
import type { operate } from './operations.js'
import { PeerCall } from './peer-call.js'

/** For what `before` of a side answered with a promise, which only its callers would learn: `onError` is told of it once. */
const reportedSettings = new WeakSet<ExposureSettings>()

function runBeforeHook(exposure: ExposureSettings, session: ReportingSession, call: PeerCall): void {
  recordBeforeHookError(() => {
    const result: unknown = exposure.before!(call, session)
    try {
      checkHookResult('`before`', result, call)
    } catch (error) {
      // Of a one-way call it is told anyway.
      if (call.kind !== 'oneway' && !reportedSettings.has(exposure)) session.report(error)
      reportedSettings.add(exposure)
      throw error
    }
  })
}

/** `operate` for a peer: with `before`, if there is one. */
export function withBeforeHook(
  perform: typeof operate,
  session: ReportingSession,
  rules: ExposureSettings
): typeof operate {
  if (!rules.before) return perform
  return (op, target, path, operand, exposure, origin) => {
    const isRoot = origin?.isRoot === true
    runBeforeHook(rules, session, new PeerCall(nameOf(op), target, path, operandsOf(op, operand), isRoot))
    return perform(op, target, path, operand, exposure, origin)
  }
}

/** For what is asked of flows, if there is a `before`. */
export const beforeStreamOperationOf = (
  session: ReportingSession,
  rules: ExposureSettings
): BeforeStreamOperation | undefined =>
  rules.before &&
  ((kind, target, path, args) => runBeforeHook(rules, session, new PeerCall(kind, target, path, args, false)))
