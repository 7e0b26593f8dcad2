// What the demos share: one-line errors, and colours on terminals only.
import { inspect } from 'node:util'
import type { CallErrorContext, Reason } from 'netref'

const { stdout, env } = process
const style = (code: number) => (text: string | number) =>
  stdout.isTTY && !env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : String(text)

export const bold = style(1)
export const dim = style(2)
export const green = style(32)

/** Runs a program; an error prints one line and ends the program with code 1. */
export async function main(program: () => Promise<void>): Promise<void> {
  stdout.once('error', () => process.exit()) // the reader has closed the output, as in `npm start | head -3`
  try {
    await program()
  } catch (error) {
    console.error(`Error: ${explain(error)}`)
    process.exitCode = 1
  }
}

/** After the end of a session its reason is enough; the failed call is not relevant. */
function explain(error: unknown): string {
  const { message, reason } = error as Error & { reason?: Reason }
  if (reason?.code === 'unreachable') return `${reason.message}. Is the server running (npm run demo:server)?`
  return reason?.message ?? message
}

/** Prints a line for a call that failed in the service: the `onCallError` of the servers. */
export function logFailedCall(error: unknown, { call }: CallErrorContext): void {
  console.error(dim(`${call} failed: ${error}`))
}

/** Prints a line of the transcript: the code and its result. */
export async function show(code: string, result?: unknown): Promise<void> {
  if (result === undefined) return console.log(`  ${code}`)
  const value = await result
  const shown = typeof value === 'string' ? value : inspect(value)
  console.log(`  ${code.padEnd(58)} ${dim('→')} ${green(shown.replaceAll('\n', '\n    '))}`)
}

/** The error that a call rejects with. */
export async function failure(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => new Error('the call did not fail'),
    error => error
  )
  return `${error.constructor.name}: ${error.message}`
}
