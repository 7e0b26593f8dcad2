// What the demos share: a program that fails does so in one line, and colours are for terminals only.
import { inspect } from 'node:util'
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

/** A line of the transcript: the code, and what came of it. */
export async function show(code: string, result?: unknown): Promise<void> {
  if (result === undefined) return console.log(`  ${code}`)
  const value = await result
  const shown = typeof value === 'string' ? value : inspect(value)
  console.log(`  ${code.padEnd(58)} ${dim('→')} ${green(shown.replaceAll('\n', '\n    '))}`)
}

/** What a call rejects with. */
export async function failure(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => new Error('it did not fail'),
    error => error
  )
  return `${error.constructor.name}: ${error.message}`
}
