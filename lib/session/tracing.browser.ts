// The variant of `tracing.ts` for pages, which does not load OpenTelemetry's API.
import type { Tracing } from './tracing.js'

export const tracing: Tracing | undefined = undefined
