// Propagates the W3C trace context: each call carries its caller's span, if OpenTelemetry's API is installed.
// Pages use `tracing.browser.ts` instead.
import { isTraceparent, TRACEPARENT } from '../protocol/parse-message.js'

/** Propagates spans between the two sides. */
export interface Tracing {
  /** The active span, as a `traceparent`; undefined if there is none. */
  currentTraceparent(): string | undefined
  /** Runs the start of a handler in the span of its caller, or in no span. */
  runInSpan<A extends unknown[], T>(parent: string | undefined, run: (...args: A) => T, ...args: A): T
}

/** Undefined if `@opentelemetry/api` is not installed: tracing then costs nothing. */
export const tracing: Tracing | undefined = loadOpenTelemetry()

function loadOpenTelemetry(): Tracing | undefined {
  let api: typeof import('@opentelemetry/api')
  try {
    // Loaded at run time, since it may be missing, and synchronously, since a call cannot wait for it.
    const { createRequire } = process.getBuiltinModule('node:module')
    api = createRequire(import.meta.url)('@opentelemetry/api')
  } catch {
    return undefined
  }
  const { context, ROOT_CONTEXT, trace } = api
  return {
    currentTraceparent() {
      const span = trace.getSpanContext(context.active())
      if (span === undefined) return undefined
      const parent = `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`
      return isTraceparent(parent) ? parent : undefined
    },
    runInSpan(parent, run, ...args) {
      // A handler must not run in an unrelated span, e.g. the one in which the socket was opened.
      if (parent === undefined) {
        return context.active() === ROOT_CONTEXT
          ? run(...args)
          : context.with(ROOT_CONTEXT, run, undefined, ...args)
      }
      const [, traceId, spanId, flags] = TRACEPARENT.exec(parent) as unknown as [
        string,
        string,
        string,
        string
      ]
      const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
      return context.with(trace.setSpanContext(ROOT_CONTEXT, span), run, undefined, ...args)
    }
  }
}
