// The entry `netref/operate`: what operators of a server need beside `netref`.
export { type Health, healthOf } from './server/health.js'
export { JsonLog } from './server/json-log.js'
export { metricsText } from './server/metrics-text.js'
export type { ServerState } from './server/serve.js'
