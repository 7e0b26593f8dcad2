// The client's file: a plain class without any reference to netref.
import { open } from 'node:fs/promises'

export class TextFile {
  readonly #lines: AsyncIterator<string>
  /** Text that was read but not returned yet. */
  readonly #ahead: string[] = []

  private constructor(
    lines: AsyncIterable<string>,
    /** Size in bytes. */
    readonly size: number
  ) {
    this.#lines = lines[Symbol.asyncIterator]()
  }

  /** @throws Error that says why the file cannot be read */
  static async open(path: string): Promise<TextFile> {
    try {
      const file = await open(path)
      const stats = await file.stat()
      if (!stats.isDirectory()) return new TextFile(file.readLines(), stats.size)
      await file.close()
    } catch (error) {
      // Node's message is `ENOENT: no such file or directory, open 'notes.txt'`.
      throw new Error(`cannot read ${path}: ${(error as Error).message.replace(/^\w+: |, \w+ '.*'$/g, '')}`)
    }
    throw new Error(`cannot read ${path}: it is a directory`)
  }

  /** Returns the next lines, about `hint` characters; none at the end. As in Python. */
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

  /** The remaining lines, each read on demand. */
  async *lines(): AsyncGenerator<string> {
    for (let line = await this.#take(); line !== undefined; line = await this.#take()) yield line
  }

  /** Whether more lines than that remain; it reads ahead. */
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
