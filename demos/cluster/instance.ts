// One instance of the line counter, in a process of its own: `instance.ts NATS_URL VERSION ZONE`.
import { serve } from 'netref'
import { nats } from 'netref/nats'
import { LineCounter } from '../line-counter/line-counter.js'
import { main } from '../terminal.js'
import { endWithParent } from './parent.js'

await main(async () => {
  const [url, version, zone] = process.argv.slice(2) as [string, string, string]
  const bus = nats(url)
  const metadata = { zone, pid: String(process.pid) }
  const server = await serve(LineCounter, { endpoint: bus.service('LineCounter', { version, metadata }) })

  endWithParent(async () => {
    await server.close()
    await bus.close()
  })
})
