// OpenTelemetry as its pages set it up, with an exporter that only keeps the spans. netref needs nothing more.
import { trace } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor
} from '@opentelemetry/sdk-trace-node'

export const exporter = new InMemorySpanExporter()
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()

/** Runs something in a span of its own, in the one that is active. */
export function inSpan<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  return trace.getTracer('weather').startActiveSpan(name, async span => {
    try {
      return await run()
    } finally {
      span.end()
    }
  })
}

/** The spans of a trace, each below the one it was made in. */
export function tree(spans: readonly ReadableSpan[], parent?: string): string[] {
  return spans
    .filter(span => span.parentSpanContext?.spanId === parent)
    .flatMap(span => [span.name, ...tree(spans, span.spanContext().spanId).map(line => `  ${line}`)])
}
