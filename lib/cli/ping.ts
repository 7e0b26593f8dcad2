// `netref ping`: measures round trips.
import { setTimeout as delay } from 'node:timers/promises'
import { redactCredentials } from '../util/printable.js'
import { withConnection } from './client.js'
import { type Command, EXIT, numberOption, parseCommandLine, requireArguments } from './command.js'
import { print } from './terminal.js'

export const ping: Command = {
  name: 'ping',
  usage: 'URL',
  summary: 'Measures round-trip times',
  options: {
    count: { type: 'string', short: 'c', value: 'N', help: 'stop after N round trips (default: at Ctrl-C)' },
    interval: {
      type: 'string',
      short: 'i',
      value: 'SECONDS',
      help: 'time between two round trips (default: 1)'
    }
  },
  async run(argv, terminal) {
    const parsed = parseCommandLine(argv, ping)
    const [url] = requireArguments(parsed, 'URL')
    const count = numberOption(parsed, 'count', Number.POSITIVE_INFINITY, 1)
    const interval = numberOption(parsed, 'interval', 1) * 1000
    const { signal } = terminal
    const shownUrl = redactCredentials(url!)
    const times: number[] = []
    await withConnection(url!, terminal, async conn => {
      await conn.ping() // the socket opens meanwhile
      await print(terminal, `PING ${shownUrl}`)
      while (!signal.aborted) {
        const ms = await conn.ping()
        times.push(ms)
        await print(terminal, `seq=${times.length} time=${ms.toFixed(3)} ms`)
        if (times.length >= count) break
        await delay(interval, undefined, { signal })
      }
    }).catch(ignoreAfterAbort(signal))
    if (times.length > 0) await print(terminal, `\n--- ${shownUrl} ping statistics ---\n${statistics(times)}`)
    return EXIT.ok
  }
}

/** An interruption is not an error. */
const ignoreAfterAbort = (signal: AbortSignal) => (error: unknown) => {
  if (!signal.aborted) throw error
  return undefined
}

function statistics(times: readonly number[]): string {
  const count = times.length
  const average = times.reduce((sum, ms) => sum + ms, 0) / count
  const deviation = Math.sqrt(times.reduce((sum, ms) => sum + (ms - average) ** 2, 0) / count)
  const numbers = [Math.min(...times), average, Math.max(...times), deviation]
  return `${count} round trips\nrtt min/avg/max/mdev = ${numbers.map(ms => ms.toFixed(3)).join('/')} ms`
}
