// What a load balancer asks of a server: whether it accepts clients.
import { requireServer, type Server, type ServerState } from './serve.js'

/** The health of a server. */
export interface Health {
  /** Whether the server accepts new clients: a load balancer may send some. */
  readonly ok: boolean
  /** The state of the server. */
  readonly state: ServerState
  /** Number of present sessions. */
  readonly sessions: number
  /** Time since the server started, in ms. */
  readonly uptime: number
}

/**
 * The health of a server, as data for a health check.
 *
 * @throws TypeError for a value that is not a server
 * @example
 * app.get('/healthz', (_, response) => {
 *   const health = healthOf(server)
 *   response.status(health.ok ? 200 : 503).json(health)
 * })
 */
export function healthOf(server: Server): Health {
  requireServer('healthOf', server)
  const { state } = server
  const { sessions, uptime } = server.metrics
  return { ok: state === 'open', state, sessions, uptime: Math.round(uptime) }
}
