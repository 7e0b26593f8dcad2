// A client that lets the service count the lines of a text, again and again.
import { setTimeout as delay } from 'node:timers/promises'
import { expose, type SessionEndedError } from 'netref'
import type { TextFile } from '../line-counter/text-file.js'

const LINES = 2000
/** How long the client needs for the lines that it gets at a time, in ms. */
const NOISE_MS = 50
/** Delay before the next run after one that failed, in ms. */
const RETRY_MS = 20

/** What all counters have done. */
export interface Totals {
  /** Lines of which the clients were told by callbacks. */
  lines: number
  /** Runs that were completed. */
  runs: number
  /** Runs that an instance took with it, and that were begun again. */
  begunAgain: number
}

/** The text, as a file that is read once. A run that begins again has another one. */
const textFile = () => {
  let next = 0
  return expose({
    readlines(hint = Infinity) {
      const lines: string[] = []
      for (let size = 0; size < hint && next < LINES; size += lines.at(-1)!.length + 1)
        lines.push(`line ${++next} of the text`)
      return lines
    }
  }) as unknown as TextFile
}

/** Calls `line_counter` of the service. */
export type CountLines = (file: TextFile, noisy: (line: string) => void) => PromiseLike<number>

/**
 * Counts until the signal aborts. Each run must hear each line once, and in order.
 *
 * @param onRecovery called after a failure, with the time for which no line arrived, in ms
 * @throws Error if a line is lost, repeated, or out of order
 */
export async function countAgainAndAgain(
  countLines: CountLines,
  totals: Totals,
  signal: AbortSignal,
  onRecovery: (ms: number, failure: SessionEndedError) => void
): Promise<void> {
  let failure: SessionEndedError | undefined
  let heardAt = performance.now()
  while (!signal.aborted) {
    let heard = 0
    const noisy = async (line: string) => {
      if (failure) onRecovery(performance.now() - heardAt, failure)
      failure = undefined
      heardAt = performance.now()
      totals.lines++
      if (line !== `line ${++heard} of the text`) throw new Error(`"${line}" came as line ${heard}`)
      await delay(NOISE_MS)
    }
    try {
      const lines = await countLines(textFile(), noisy)
      if (lines !== LINES || heard !== LINES) throw new Error(`${lines} lines counted, and ${heard} heard`)
      totals.runs++
    } catch (error) {
      if (signal.aborted) return
      const { code } = error as SessionEndedError
      if (!code) throw error
      totals.begunAgain += failure ? 0 : 1
      failure ??= error as SessionEndedError
      await delay(RETRY_MS)
    }
  }
}
