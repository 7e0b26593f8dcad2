// Who takes part, in the order of the columns. A module is loaded only in the processes of its contestant.
import type { Contestant } from './contestant.js'

export const CONTESTANTS = {
  'raw-ws': async () => (await import('./by-hand.js')).rawWs,
  'frame per tick': async () => (await import('./by-hand.js')).oneFramePerTick,
  netref: async () => (await import('./netref.js')).netref,
  capnweb: async () => (await import('./capnweb.js')).capnweb,
  comlink: async () => (await import('./comlink.js')).comlink,
  'socket.io': async () => (await import('./socket-io.js')).socketIo,
  birpc: async () => (await import('./birpc.js')).birpc
} satisfies Record<string, () => Promise<Contestant>>
export type ContestantName = keyof typeof CONTESTANTS
