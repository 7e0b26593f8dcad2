// What a command has of the world: its streams, the environment, and when to stop.

export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Terminal {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C and the like. */
  readonly signal: AbortSignal
  /** What starts this program again: the arguments of Node before those of the program. */
  readonly program: readonly string[]
}

/** Writes, and waits until that is taken. @throws what the stream does, e.g. EPIPE when nobody reads any more */
export function write(stream: Output, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, error => (error ? reject(error) : resolve()))
  })
}

export const print = ({ stdout }: Terminal, line: string): Promise<void> => write(stdout, `${line}\n`)

export interface Colours {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
}

/** Colours are for terminals, and for people who have not said NO_COLOR. */
export function coloursFor(stream: Output, { NO_COLOR }: Terminal['env']): Colours {
  const style = (code: number) => (text: string) =>
    stream.isTTY && !NO_COLOR && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text
  return { bold: style(1), dim: style(2), red: style(31) }
}
