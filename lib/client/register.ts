// Adds endpoints and reconnection to `connect`, for the entry `netref`.
import { openEndpoint, openNetworkEndpoint } from './open-endpoint.js'
import { followPage } from './page-lifecycle.js'
import { Reconnector } from './reconnect.js'
import { registerConnectExtras } from './registry.js'

registerConnectExtras({
  openEndpoint,
  openNetworkEndpoint,
  createReconnector: (...setup) => new Reconnector(...setup),
  followPage
})
