// OpenTelemetry set up as in its documentation, with an exporter that keeps the spans. netref needs nothing else.
import { trace } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor
} from '@opentelemetry/sdk-trace-node'

export const exporter = new InMemorySpanExporter()
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()

/** Runs a function in a new span below the active one. */
export function inSpan<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  return trace.getTracer('weather').startActiveSpan(name, async span => {
    try {
      return await run()
    } finally {
      span.end()
    }
  })
}

/** The spans of a trace, each indented below its parent. */
export function tree(spans: readonly ReadableSpan[], parent?: string): string[] {
  return spans
    .filter(span => span.parentSpanContext?.spanId === parent)
    .flatMap(span => [span.name, ...tree(spans, span.spanContext().spanId).map(line => `  ${line}`)])
}
