// The metrics of a server in the text format of Prometheus.
import type { ServerMetrics } from '../session/metrics.js'
import { requireServer, type Server } from './serve.js'

interface Metric {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  /** What one unit of the metric is in units of the text. */
  readonly scale?: number
}

const METRICS: Readonly<Record<keyof ServerMetrics, Metric>> = {
  sessions: { name: 'sessions', type: 'gauge', help: 'Present sessions.' },
  arriving: { name: 'clients_arriving', type: 'gauge', help: 'Clients that are not accepted yet.' },
  sessionsTotal: { name: 'sessions_total', type: 'counter', help: 'Sessions so far.' },
  sessionsInterrupted: {
    name: 'sessions_interrupted_total',
    type: 'counter',
    help: 'Times that sessions lost their socket.'
  },
  sessionsResumed: {
    name: 'sessions_resumed_total',
    type: 'counter',
    help: 'Times that sessions continued over another socket.'
  },
  clientsRefused: { name: 'clients_refused_total', type: 'counter', help: 'Clients that were not accepted.' },
  exports: { name: 'exports', type: 'gauge', help: 'Own objects that clients hold.' },
  imports: { name: 'imports', type: 'gauge', help: 'Netrefs to objects of clients.' },
  pending: { name: 'calls_pending', type: 'gauge', help: 'Calls to clients that wait for their reply.' },
  buffered: { name: 'buffered_bytes', type: 'gauge', help: 'Bytes that wait to be sent or read.' },
  callsIn: { name: 'calls_received_total', type: 'counter', help: 'Operations of clients.' },
  callsOut: { name: 'calls_sent_total', type: 'counter', help: 'Operations of the server.' },
  callsFailed: {
    name: 'calls_failed_total',
    type: 'counter',
    help: 'Operations of clients that failed by an error of the service.'
  },
  framesIn: { name: 'frames_received_total', type: 'counter', help: 'Frames received.' },
  framesOut: { name: 'frames_sent_total', type: 'counter', help: 'Frames sent.' },
  bytesIn: { name: 'received_bytes_total', type: 'counter', help: 'Bytes of the frames received.' },
  bytesOut: { name: 'sent_bytes_total', type: 'counter', help: 'Bytes of the frames sent.' },
  uptime: { name: 'uptime_seconds', type: 'gauge', help: 'Time since the server started.', scale: 1 / 1000 }
}

/**
 * The metrics of a server in the text format of Prometheus, version 0.0.4. Serve it as `text/plain; version=0.0.4`. Its
 * values are those of `server.metrics`.
 *
 * @example
 * app.get('/metrics', (_, response) => response.type('text/plain; version=0.0.4').send(metricsText(server)))
 */
export function metricsText(server: Server): string {
  requireServer('metricsText', server)
  const values = server.metrics
  const metrics = Object.entries(METRICS) as [keyof ServerMetrics, Metric][]
  return metrics
    .map(
      ([key, { name, type, help, scale = 1 }]) =>
        `# HELP netref_${name} ${help}\n# TYPE netref_${name} ${type}\nnetref_${name} ${values[key] * scale}\n`
    )
    .join('')
}
