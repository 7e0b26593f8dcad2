// `netref bench`: measures calls per second.
import { withConnection, withMemberHints } from './client.js'
import { type Command, EXIT, numberOption, parseCommandLine, UsageError } from './command.js'
import { readArguments } from './json.js'
import { parsePath, refAtPath } from './path.js'
import { print, type Terminal, write } from './terminal.js'

type RemoteFunction = (...args: unknown[]) => Promise<unknown>

export const bench: Command = {
  name: 'bench',
  usage: 'URL path [json…]',
  summary: 'Measures calls per second',
  options: {
    seconds: { type: 'string', short: 's', value: 'N', help: 'seconds to measure (default: 3)' },
    'in-flight': { type: 'string', short: 'n', value: 'N', help: 'calls in flight at a time (default: 16)' }
  },
  async run(argv, terminal) {
    const parsed = parseCommandLine(argv, bench)
    const [url, path, ...rest] = parsed.words as { argument: string }[]
    if (!url) throw new UsageError('URL is missing')
    if (!path) throw new UsageError('path is missing')
    const seconds = numberOption(parsed, 'seconds', 3)
    const inFlight = Math.floor(numberOption(parsed, 'in-flight', 16, 1))
    const names = parsePath(path.argument)
    const args = await readArguments(rest, terminal, () => undefined)
    await withConnection(url.argument, terminal, async conn => {
      const member = refAtPath(conn.root, names) as unknown as RemoteFunction
      await withMemberHints(conn, names, () => member(...args))
      const progress = new ProgressBar(terminal)
      const startedAt = performance.now()
      const times = await callFor(seconds * 1000, inFlight, () => member(...args), progress, terminal.signal)
      const elapsedSeconds = (performance.now() - startedAt) / 1000
      await progress.clear()
      await print(terminal, formatReport(times, elapsedSeconds, inFlight))
    })
    return EXIT.ok
  }
}

/** Calls for a given time, with a given number in flight. @returns the duration of each call, in ms */
async function callFor(
  ms: number,
  inFlight: number,
  call: () => Promise<unknown>,
  progress: ProgressBar,
  signal: AbortSignal
): Promise<number[]> {
  const times: number[] = []
  const startedAt = performance.now()
  const callInLoop = async () => {
    for (let now = performance.now(); now - startedAt < ms && !signal.aborted; ) {
      await call()
      const before = now
      now = performance.now()
      times.push(now - before)
      progress.draw((now - startedAt) / ms, times.length / ((now - startedAt) / 1000))
    }
  }
  await Promise.all(Array.from({ length: inFlight }, callInLoop))
  return times
}

function formatReport(times: number[], seconds: number, inFlight: number): string {
  times.sort((a, b) => a - b)
  const percentile = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(3)
  const perSecond = Math.round(times.length / seconds)
  return (
    `${perSecond} calls/s  (${times.length} calls in ${seconds.toFixed(2)} s, ${inFlight} in flight)\n` +
    `p50 ${percentile(0.5)} ms  p99 ${percentile(0.99)} ms`
  )
}

const BAR_WIDTH_CHARS = 30
/** Shortest interval between two drawings, in ms. */
const REDRAW_INTERVAL_MS = 100

/** A progress bar on stderr, if that is a terminal. */
class ProgressBar {
  #lastDrawnAt = 0

  constructor(private readonly terminal: Terminal) {}

  draw(fraction: number, perSecond: number): void {
    const now = performance.now()
    if (!this.terminal.stderr.isTTY || now - this.#lastDrawnAt < REDRAW_INTERVAL_MS) return
    this.#lastDrawnAt = now
    const full = Math.min(BAR_WIDTH_CHARS, Math.round(fraction * BAR_WIDTH_CHARS))
    const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH_CHARS - full)
    this.terminal.stderr.write(`\r${bar} ${Math.round(perSecond)} calls/s \x1b[K`)
  }

  async clear(): Promise<void> {
    if (this.#lastDrawnAt > 0) await write(this.terminal.stderr, '\r\x1b[K')
  }
}
