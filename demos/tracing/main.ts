// `npm run demo:tracing`: one OpenTelemetry trace across both sides.
import { connect, serve } from 'netref'
import { bold, logFailedCall, main } from '../terminal.js'
import { Forecast } from './forecast.js'
import { exporter, inSpan, tree } from './spans.js'

await main(async () => {
  await using server = await serve(Forecast, { port: 0, onCallError: logFailedCall })
  await using conn = connect<Forecast>(server.url)
  const measure = (city: string) => inSpan(`client: measure ${city}`, () => city.length)
  await inSpan('client: ask', () => conn.root.forecast(['Rome', 'Oslo'], measure))
  console.log(`${bold('One trace across both sides')}\n`)
  for (const line of tree(exporter.getFinishedSpans())) console.log(`  ${line}`)
})
