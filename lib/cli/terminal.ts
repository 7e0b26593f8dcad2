// What a command needs of its environment: streams, environment variables, and an abort signal.

export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Terminal {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C and similar signals. */
  readonly signal: AbortSignal
  /** Arguments of Node that start this program again, before those of the program. */
  readonly program: readonly string[]
}

/**
 * Writes and waits until the stream has accepted the text. @throws errors of the stream, e.g. EPIPE after the reader
 * closed it
 */
export function write(stream: Output, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, error => (error ? reject(error) : resolve()))
  })
}

export const print = ({ stdout }: Terminal, line: string): Promise<void> => write(stdout, `${line}\n`)

/** Calls `stop` at the interruption, or at once after it. @returns a function that removes the listener */
export function onInterruption(signal: AbortSignal, stop: () => void): () => void {
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  return () => signal.removeEventListener('abort', stop)
}

export interface Colours {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
}

/** Colours apply to terminals, unless NO_COLOR is set. */
export function coloursFor(stream: Output, { NO_COLOR }: Terminal['env']): Colours {
  const style = (code: number) => (text: string) =>
    stream.isTTY && !NO_COLOR && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text
  return { bold: style(1), dim: style(2), red: style(31) }
}
