// The service: it does not know which systems its clients are of.
import { exposed, type Netref, Service } from 'netref'
import { z } from 'zod'

/** A file of a client; RPyC passes Python's own. */
interface TextFile {
  readlines(): string[]
}

export class Tutorial extends Service {
  /** With a schema, a method can be a tool of a language model. */
  @exposed({ schema: z.tuple([z.number(), z.number()]), returns: z.number(), help: 'Adds two numbers.' })
  sum(x: number, y: number) {
    return x + y
  }

  @exposed
  get_time() {
    return new Date().toString()
  }

  @exposed
  greet({ name }: { name: string }) {
    return { text: `Hello ${name}` }
  }

  @exposed({
    schema: z.tuple([z.object({ dividend: z.int(), divisor: z.int() })]),
    returns: z.object({ quotient: z.int(), remainder: z.int() }),
    help: 'Divides integers: quotient and remainder.'
  })
  divide({ dividend, divisor }: { dividend: number; divisor: number }) {
    if (divisor === 0) throw new RangeError(`${dividend} cannot be divided by 0`)
    return { quotient: Math.trunc(dividend / divisor), remainder: dividend % divisor }
  }

  @exposed
  *count(to: number) {
    for (let i = 1; i <= to; i++) yield i
  }

  /** The file and the function stay in the client; of the systems here RPyC passes both. */
  @exposed({ help: 'Counts the lines of your file, and passes each to your function.' })
  async line_counter(file: Netref<TextFile>, noisy: Netref<(line: string) => void>) {
    let count = 0
    for (const line of await file.readlines()) {
      await noisy(line)
      count++
    }
    return count
  }
}
