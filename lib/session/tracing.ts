// W3C trace context: a call says which span it is made in, where OpenTelemetry's API is installed. A page has
// `tracing-browser.ts` in its place.
import { isTraceparent, TRACEPARENT } from '../protocol/parse-message.js'

/** What carries traces across. */
export interface Tracing {
  /** The span that is active, as a `traceparent`; undefined when there is none. */
  currentTraceparent(): string | undefined
  /** Runs the start of a handler in the span that its call was made in, or in none. */
  runInSpan<T>(parent: string | undefined, run: () => T): T
}

/** Undefined, so that nothing is paid, where `@opentelemetry/api` is not there. */
export const tracing: Tracing | undefined = loadOpenTelemetry()

function loadOpenTelemetry(): Tracing | undefined {
  let api: typeof import('@opentelemetry/api')
  try {
    // Asked for at run time and at once, as it may be missing, and as a call cannot wait for it.
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
    runInSpan(parent, run) {
      // What the socket was opened in, say, is nothing that a handler runs in.
      if (parent === undefined) {
        return context.active() === ROOT_CONTEXT ? run() : context.with(ROOT_CONTEXT, run)
      }
      const [, traceId, spanId, flags] = TRACEPARENT.exec(parent) as unknown as [
        string,
        string,
        string,
        string
      ]
      const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
      return context.with(trace.setSpanContext(ROOT_CONTEXT, span), run)
    }
  }
}
