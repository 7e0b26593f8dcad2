// A service for clients of MCP.
import { z } from 'zod'
import { exposed, Service } from '../../../lib/index.js'

export default class Tutorial extends Service {
  @exposed({ schema: z.tuple([z.number(), z.number()]), returns: z.number(), help: 'Adds two numbers' })
  sum(a: number, b: number) {
    return a + b
  }
  @exposed({ schema: z.tuple([z.object({ name: z.string() })]), returns: z.object({ text: z.string() }) })
  greet({ name }: { name: string }) {
    return { text: `Hello ${name}` }
  }
  @exposed({ schema: z.tuple([z.int()]) })
  *count(to: number) {
    for (let n = 1; n <= to; n++) yield n
  }
  @exposed({ schema: z.tuple([]) })
  fail() {
    throw new RangeError('on purpose')
  }
}
