// What the demos share: a program that fails does so in one line, and colours are for terminals only.
import type { Reason } from 'netref'

const { stdout, env } = process
const style = (code: number) => (text: string | number) =>
  stdout.isTTY && !env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : String(text)

export const bold = style(1)
export const dim = style(2)
export const green = style(32)

/** Runs a program. What goes wrong is said in one line, and the program ends with code 1. */
export async function main(program: () => Promise<void>): Promise<void> {
  stdout.once('error', () => process.exit()) // nobody reads on, as in `npm start | head -3`
  try {
    await program()
  } catch (error) {
    console.error(`Error: ${explain(error)}`)
    process.exitCode = 1
  }
}

/** What netref says of a session that ended is all there is to say; of the call it ended, nobody asked. */
function explain(error: unknown): string {
  const { message, reason } = error as Error & { reason?: Reason }
  if (reason?.code === 'unreachable') return `${reason.message}. Is the server running (npm run demo:server)?`
  return reason?.message ?? message
}
