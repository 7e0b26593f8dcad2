// Adds endpoints and reconnection to `connect`, for the entry `netref`.
import { openEndpoint } from './open-endpoint.js'
import { followPage } from './page-lifecycle.js'
import { Reconnector } from './reconnect.js'
import { registerConnectExtras } from './registry.js'

registerConnectExtras({
  openEndpoint,
  createReconnector: (...setup) => new Reconnector(...setup),
  followPage
})
