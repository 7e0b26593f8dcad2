// The service, for server components and route handlers. All requests share one connection, which survives hot reloads.
import { connect } from 'netref'

const OPTIONS = { renew: true, reconnect: { initial: true } }

/** Connects at the first use, so `next build` opens no connection. */
export const lineCounter = () =>
  (globalThis.netrefConnection ??= connect(process.env.NETREF_URL, OPTIONS)).root
