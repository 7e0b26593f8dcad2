// The service: it does not know which systems its clients are of.
import { type Netref, Service } from 'netref'

/** A file of a client; RPyC passes Python's own. */
interface TextFile {
  readlines(): string[]
}

export class Tutorial extends Service {
  static override readonly help = {
    sum: 'Adds two numbers.',
    divide: 'Divides integers: quotient and remainder.',
    line_counter: 'Counts the lines of your file, and passes each to your function.'
  }

  exposed_sum(x: number, y: number) {
    return x + y
  }

  exposed_get_time() {
    return new Date().toString()
  }

  exposed_greet({ name }: { name: string }) {
    return { text: `Hello ${name}` }
  }

  exposed_divide({ dividend, divisor }: { dividend: number; divisor: number }) {
    if (divisor === 0) throw new RangeError(`${dividend} cannot be divided by 0`)
    return { quotient: Math.trunc(dividend / divisor), remainder: dividend % divisor }
  }

  *exposed_count(to: number) {
    for (let i = 1; i <= to; i++) yield i
  }

  /** The file and the function stay in the client; of the systems here RPyC passes both. */
  async exposed_line_counter(file: Netref<TextFile>, noisy: Netref<(line: string) => void>) {
    let count = 0
    for (const line of await file.readlines()) {
      await noisy(line)
      count++
    }
    return count
  }
}
