// The metrics of a server in the text format of Prometheus.
import type { GatewayMetrics, ServerMetrics } from '../session/metrics.js'
import { requireServer, type Server } from './serve.js'

interface Metric {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  /** What one unit of the metric is in units of the text. */
  readonly scale: number
}

const gauge = (name: string, help: string, scale = 1): Metric => ({ name, type: 'gauge', help, scale })
const counter = (name: string, help: string): Metric => ({
  name: `${name}_total`,
  type: 'counter',
  help,
  scale: 1
})

const METRICS: Readonly<Record<Exclude<keyof ServerMetrics, 'gateways'>, Metric>> = {
  sessions: gauge('sessions', 'Present sessions.'),
  arriving: gauge('clients_arriving', 'Clients that are not accepted yet.'),
  sessionsTotal: counter('sessions', 'Sessions so far.'),
  sessionsInterrupted: counter('sessions_interrupted', 'Times that sessions lost their socket.'),
  sessionsResumed: counter('sessions_resumed', 'Times that sessions continued over another socket.'),
  clientsRefused: counter('clients_refused', 'Clients that were not accepted.'),
  exports: gauge('exports', 'Own objects that clients hold.'),
  imports: gauge('imports', 'Netrefs to objects of clients.'),
  pending: gauge('calls_pending', 'Calls to clients that wait for their reply.'),
  buffered: gauge('buffered_bytes', 'Bytes that wait to be sent or read.'),
  callsIn: counter('calls_received', 'Operations of clients.'),
  callsOut: counter('calls_sent', 'Operations of the server.'),
  callsFailed: counter('calls_failed', 'Operations of clients that failed by an error of the service.'),
  framesIn: counter('frames_received', 'Frames received.'),
  framesOut: counter('frames_sent', 'Frames sent.'),
  bytesIn: counter('received_bytes', 'Bytes of the frames received.'),
  bytesOut: counter('sent_bytes', 'Bytes of the frames sent.'),
  uptime: gauge('uptime_seconds', 'Time since the server started.', 1 / 1000)
}

const GATEWAY_METRICS: Readonly<Record<keyof GatewayMetrics, Metric>> = {
  clients: gauge('gateway_clients', 'Present clients of a gateway.'),
  clientsTotal: counter('gateway_clients', 'Clients of a gateway so far.'),
  clientsRefused: counter('gateway_clients_refused', 'Clients of a gateway that were not accepted.')
}

const headOf = ({ name, type, help }: Metric) =>
  `# HELP netref_${name} ${help}\n# TYPE netref_${name} ${type}\n`

/**
 * The metrics of a server in the text format of Prometheus, version 0.0.4. Serve it as `text/plain; version=0.0.4`. Its
 * values are those of `server.metrics`.
 *
 * @throws TypeError for a value that is not a server
 * @example
 * app.get('/metrics', (_, response) => response.type('text/plain; version=0.0.4').send(metricsText(server)))
 */
export function metricsText(server: Server): string {
  requireServer('metricsText', server)
  const values = server.metrics
  const metrics = Object.entries(METRICS) as [keyof typeof METRICS, Metric][]
  const texts = metrics.map(
    ([key, metric]) => `${headOf(metric)}netref_${metric.name} ${values[key] * metric.scale}\n`
  )
  return texts.join('') + gatewayMetricsText(Object.entries(values.gateways))
}

function gatewayMetricsText(gateways: readonly [name: string, values: GatewayMetrics][]): string {
  if (gateways.length === 0) return ''
  const metrics = Object.entries(GATEWAY_METRICS) as [keyof GatewayMetrics, Metric][]
  const linesOf = (key: keyof GatewayMetrics, { name }: Metric) =>
    gateways.map(([gateway, values]) => `netref_${name}{gateway="${gateway}"} ${values[key]}\n`).join('')
  return metrics.map(([key, metric]) => headOf(metric) + linesOf(key, metric)).join('')
}
