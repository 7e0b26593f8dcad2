// netref over NATS: all sessions of a process share one connection to the server at `NETREF_NATS`.
import type { Contestant } from './contestant.js'
import { Bench, clientOf, connect, OPTIONS, serve } from './netref.js'

/** Another build of netref may stand in for this one, as in netref.ts. */
const built = process.env.NETREF_BUILD
  ? new URL('adapters/nats.js', process.env.NETREF_BUILD).href
  : '../../../lib/adapters/nats.js'
const { nats } = (await import(built)) as typeof import('../../../lib/adapters/nats.js')

const NAME = 'Bench'
const bus = nats(process.env.NETREF_NATS!)

export const netrefOnNats: Contestant = {
  serve: async () => (await serve(Bench, { endpoint: bus.service(NAME), ...OPTIONS })).url,
  async connect(address) {
    // The address of an instance is nats:SERVICE/INSTANCE.
    const instance = address.slice(address.indexOf('/') + 1)
    return clientOf(connect<Bench>(bus.service(NAME, { instance }), OPTIONS))
  }
}
