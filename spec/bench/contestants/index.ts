// The contestants that run in Node, in the order of the columns. A process loads only the module of its own contestant.
import type { Contestant } from './contestant.js'

export const CONTESTANTS = {
  'raw-ws': async () => (await import('./by-hand.js')).rawWs,
  'by hand': async () => (await import('./by-hand.js')).oneFramePerTick,
  netref: async () => (await import('./netref.js')).netref,
  'netref, busy polling': async () => (await import('./netref.js')).netrefPolling,
  capnweb: async () => (await import('./capnweb.js')).capnweb,
  comlink: async () => (await import('./comlink.js')).comlink,
  'socket.io': async () => (await import('./socket-io.js')).socketIo,
  birpc: async () => (await import('./birpc.js')).birpc
} satisfies Record<string, () => Promise<Contestant>>
export type ContestantName = keyof typeof CONTESTANTS

/** The contestant of `npm run bench:nats` beside `netref`: it needs a nats-server. */
export const ON_NATS = {
  'netref over NATS': async () => (await import('./netref-nats.js')).netrefOnNats
} satisfies Record<string, () => Promise<Contestant>>
