// `netref bench`: how many calls in a second.
import { withMember, withServer } from './client.js'
import { type Command, EXIT, numberOf, parse, UsageError } from './command.js'
import { readArguments } from './json.js'
import { follow, parsePath } from './path.js'
import { print, type Terminal, write } from './terminal.js'

type Remote = (...args: unknown[]) => Promise<unknown>

export const bench: Command = {
  name: 'bench',
  usage: 'URL path [json…]',
  summary: 'Counts how many calls are answered in a second',
  options: {
    seconds: { type: 'string', short: 's', value: 'N', help: 'how long to call (default: 3)' },
    'in-flight': { type: 'string', short: 'n', value: 'N', help: 'calls that wait at a time (default: 16)' }
  },
  async run(argv, terminal) {
    const parsed = parse(argv, bench)
    const [url, path, ...rest] = parsed.words as { argument: string }[]
    if (!url) throw new UsageError('URL is missing')
    if (!path) throw new UsageError('path is missing')
    const seconds = numberOf(parsed, 'seconds', 3)
    const inFlight = Math.floor(numberOf(parsed, 'in-flight', 16, 1))
    const names = parsePath(path.argument)
    const args = await readArguments(rest, terminal, () => undefined)
    await withServer(url.argument, terminal, async conn => {
      const member = follow(conn.root, names) as unknown as Remote
      await withMember(conn, names, () => member(...args))
      const bar = new Bar(terminal)
      const began = performance.now()
      const times = await callFor(seconds * 1000, inFlight, () => member(...args), bar, terminal.signal)
      const took = (performance.now() - began) / 1000
      await bar.clear()
      await print(terminal, report(times, took, inFlight))
    })
    return EXIT.ok
  }
}

/** Calls until the time is over, so many at once. @returns how long each took, in ms */
async function callFor(
  ms: number,
  inFlight: number,
  call: () => Promise<unknown>,
  bar: Bar,
  signal: AbortSignal
): Promise<number[]> {
  const times: number[] = []
  const began = performance.now()
  const lane = async () => {
    for (let now = performance.now(); now - began < ms && !signal.aborted; ) {
      await call()
      const then = now
      now = performance.now()
      times.push(now - then)
      bar.draw((now - began) / ms, times.length / ((now - began) / 1000))
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return times
}

function report(times: number[], seconds: number, inFlight: number): string {
  times.sort((a, b) => a - b)
  const percentile = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(3)
  const perSecond = Math.round(times.length / seconds)
  return (
    `${perSecond} calls/s  (${times.length} calls in ${seconds.toFixed(2)} s, ${inFlight} in flight)\n` +
    `p50 ${percentile(0.5)} ms  p99 ${percentile(0.99)} ms`
  )
}

const WIDTH = 30
/** How often it is drawn at most, in ms. */
const EVERY = 100

/** A progress bar on stderr, if that is a terminal. */
class Bar {
  #drawn = 0

  constructor(private readonly terminal: Terminal) {}

  draw(share: number, perSecond: number): void {
    const now = performance.now()
    if (!this.terminal.stderr.isTTY || now - this.#drawn < EVERY) return
    this.#drawn = now
    const full = Math.min(WIDTH, Math.round(share * WIDTH))
    const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full)
    this.terminal.stderr.write(`\r${bar} ${Math.round(perSecond)} calls/s \x1b[K`)
  }

  async clear(): Promise<void> {
    if (this.#drawn > 0) await write(this.terminal.stderr, '\r\x1b[K')
  }
}
