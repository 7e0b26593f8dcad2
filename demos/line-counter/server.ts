// `npm run demo:server -- --port 18861`: serves the line counter until it is stopped.
import { parseArgs } from 'node:util'
import { serve } from 'netref'
import { dim, logFailedCall, main } from '../terminal.js'
import { LineCounter } from './line-counter.js'

await main(async () => {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '18861' } } })
  const server = await serve(LineCounter, { port: Number(values.port), onCallError: logFailedCall })

  console.log(`${dim('server')}  process ${process.pid} listens at ${server.url}`)
  process.send?.(server.url) // start.ts waits for it

  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) {
    process.once(end, async () => {
      await server.close({ drain: 5000 })
      process.exit()
    })
  }
})
