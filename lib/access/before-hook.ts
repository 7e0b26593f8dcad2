// Runs the `before` hook, which decides on all requests of a peer.

import { nameOf, operandsOf } from '../protocol/messages.js'
import type { BeforeStreamOperation } from '../remote/streams/types.js'
import type { ExposureSettings } from './access-control.js'
import type { ReportingSession } from './call-context.js'
import { checkHookResult, recordBeforeHookError } from './hook-result.js'
import type { operate } from './operations.js'
import { PeerCall } from './peer-call.js'

/**
 * The settings whose `before` has returned a promise. Otherwise only callers would learn of that, so it is reported to
 * `onError` once.
 */
const reportedSettings = new WeakSet<ExposureSettings>()

function runBeforeHook(exposure: ExposureSettings, session: ReportingSession, call: PeerCall): void {
  recordBeforeHookError(() => {
    const result: unknown = exposure.before!(call, session)
    try {
      checkHookResult('`before`', result, call)
    } catch (error) {
      // The error of a one-way call is reported in any case.
      if (call.kind !== 'oneway' && !reportedSettings.has(exposure)) session.report(error)
      reportedSettings.add(exposure)
      throw error
    }
  })
}

/** Returns `operate` for a peer, preceded by the `before` hook if there is one. */
export function withBeforeHook(
  perform: typeof operate,
  session: ReportingSession,
  sessionExposure: ExposureSettings
): typeof operate {
  if (!sessionExposure.before) return perform
  return (op, target, path, operand, exposure, callTarget) => {
    const isRoot = callTarget?.isRoot === true
    runBeforeHook(
      sessionExposure,
      session,
      new PeerCall(nameOf(op), target, path, operandsOf(op, operand), isRoot)
    )
    return perform(op, target, path, operand, exposure, callTarget)
  }
}

/** Returns the `before` hook for operations on streams and iterators, if there is one. */
export const beforeStreamOperationOf = (
  session: ReportingSession,
  exposure: ExposureSettings
): BeforeStreamOperation | undefined =>
  exposure.before &&
  ((kind, target, path, args) =>
    runBeforeHook(exposure, session, new PeerCall(kind, target, path, args, false)))
