// What takes the place of `tracing.ts` in a page: OpenTelemetry's API is not looked for there.
import type { Tracing } from './tracing.js'

export const tracing: Tracing | undefined = undefined
