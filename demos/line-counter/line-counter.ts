// The service: it counts the lines of a file that it does not have, and says them to somebody who is not here.
import { Netref, Service } from 'netref'
import type { TextFile } from './text-file.js'

/** How much is read, and then said, at a time: in characters. */
const PART = 16_384

export class LineCounter extends Service {
  async exposed_line_counter(file: Netref<TextFile>, noisy: Netref<(line: string) => void>) {
    for (let count = 0; ; ) {
      const lines = await file.readlines(PART) // runs in the client, on the client's file
      if (lines.length === 0) return count
      await Promise.all(lines.map(line => noisy(line))) // runs in the client; calls made in one go keep their order
      count += lines.length
    }
  }

  /** The same as it is written in JavaScript: lines come as they are read, and are said without an answer. */
  async exposed_count_lines(lines: AsyncIterable<string>, noisy: Netref<(line: string) => void>) {
    const say = Netref.oneway(noisy)
    let count = 0
    for await (const line of lines) {
      await say(line) // waits only while the connection has enough to carry
      count++
    }
    return count
  }
}
