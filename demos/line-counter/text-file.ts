// The client's file: a class of the client's own, which knows nothing of netref.
import { open } from 'node:fs/promises'

export class TextFile {
  readonly #lines: AsyncIterator<string>
  /** Read already, but not by `readlines`. */
  readonly #ahead: string[] = []

  private constructor(
    lines: AsyncIterable<string>,
    /** In bytes. */
    readonly size: number
  ) {
    this.#lines = lines[Symbol.asyncIterator]()
  }

  /** @throws Error saying why the file cannot be read. */
  static async open(path: string): Promise<TextFile> {
    try {
      const file = await open(path)
      const stats = await file.stat()
      if (!stats.isDirectory()) return new TextFile(file.readLines(), stats.size)
      await file.close()
    } catch (error) {
      // What Node says is `ENOENT: no such file or directory, open 'notes.txt'`.
      throw new Error(`cannot read ${path}: ${(error as Error).message.replace(/^\w+: |, \w+ '.*'$/g, '')}`)
    }
    throw new Error(`cannot read ${path}: it is a directory`)
  }

  /** The next lines, until they are `hint` characters; none at the end. As in Python. */
  async readlines(hint = Infinity): Promise<string[]> {
    const lines: string[] = []
    for (let size = 0; size < hint; ) {
      const line = await this.#take()
      if (line === undefined) break
      lines.push(line)
      size += line.length + 1
    }
    return lines
  }

  /** The lines from here on, each read when it is wanted. */
  async *lines(): AsyncGenerator<string> {
    for (let line = await this.#take(); line !== undefined; line = await this.#take()) yield line
  }

  /** Whether there are more lines than that, found by reading ahead. */
  async isLongerThan(count: number): Promise<boolean> {
    while (this.#ahead.length <= count) {
      const line = await this.#next()
      if (line === undefined) return false
      this.#ahead.push(line)
    }
    return true
  }

  async #take(): Promise<string | undefined> {
    return this.#ahead.shift() ?? (await this.#next())
  }

  async #next(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next()
    return done ? undefined : value
  }
}
