// The service: counts the lines of a remote file, and passes them to a remote callback.
import { Netref, Service } from 'netref'
import type { TextFile } from './text-file.js'

/** Characters read, and then passed on, at a time. */
const PART = 16_384

/** Called with each line. */
type Noisy = (line: string) => void

export class LineCounter extends Service {
  /** Calls of `noisy` that are made in one go keep their order. */
  async exposed_line_counter(file: Netref<TextFile>, noisy: Netref<Noisy>) {
    for (let count = 0; ; ) {
      const lines = await file.readlines(PART) // runs in the client, on its file
      if (lines.length === 0) return count
      await Promise.all(lines.map(line => noisy(line))) // runs in the client
      count += lines.length
    }
  }

  /** The same in idiomatic JavaScript: lines are streamed, and the callback is called one-way. */
  async exposed_count_lines(lines: AsyncIterable<string>, noisy: Netref<Noisy>) {
    const say = Netref.oneway(noisy)
    let count = 0
    for await (const line of lines) {
      await say(line) // waits only while the connection is congested
      count++
    }
    return count
  }
}
