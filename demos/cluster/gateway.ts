// A gateway: its clients come by WebSocket, and the services behind it are on NATS. `npm run demo:cluster -- --gateway` starts
// it as `gateway.ts NATS_URL`.
import { connect, expose, type Session, serve } from 'netref'
import { nats } from 'netref/nats'
import type { LineCounter } from '../line-counter/line-counter.js'
import { main } from '../terminal.js'
import { endWithParent, tellParent } from './parent.js'

const bus = nats(process.argv[2]!)

/** The services that a client may use. Each client has a session of its own with each of them. */
function gateway(session: Session) {
  const options = { renew: true, reconnect: { initial: true } }
  const lineCounter = connect<LineCounter>(bus.service('LineCounter'), options)
  session.on('closed', () => void lineCounter.close())
  return expose({
    /** That of the present session: `renew` may replace it. */
    get LineCounter() {
      return lineCounter.root
    }
  })
}
export type Gateway = ReturnType<typeof gateway>

await main(async () => {
  const server = await serve(gateway, { port: 0 })
  tellParent(server.url)

  endWithParent(async () => {
    await server.close()
    await bus.close()
  })
})
