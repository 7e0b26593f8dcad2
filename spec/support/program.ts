// Runs programs, such as the demos, and waits for what they print.
import { type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'
import { CHILD_ENV } from './helpers.js'

/** A running program, and its output so far. */
export class Program {
  stdout = ''
  stderr = ''
  readonly pid: number
  /** Resolves when the program and its children, which share its output, have exited. */
  readonly ended: Promise<{ code: number | null; signal: string | null }>
  readonly #heard: (() => void)[] = []

  constructor(t: Test, command: string, args: string[], options: SpawnOptions = {}) {
    const env = { ...CHILD_ENV, NO_COLOR: '', ...options.env }
    const child = spawn(command, args, { ...options, env, stdio: 'pipe' })
    this.pid = child.pid!
    t.teardown(() => child.kill('SIGKILL'))
    child.stdout!.setEncoding('utf8').on('data', text => {
      this.stdout += text
      for (const heard of this.#heard.splice(0)) heard()
    })
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.ended = once(child, 'close').then(([code, signal]) => {
      for (const heard of this.#heard.splice(0)) heard()
      return { code, signal }
    })
  }

  /** Waits for a text on stdout. */
  async says(what: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.stdout.match(what)
      if (match) return match
      const ended = await Promise.race([this.ended, new Promise<void>(heard => this.#heard.push(heard))])
      if (ended && !what.test(this.stdout)) throw new Error(`it ended without ${what}: ${this.stderr}`)
    }
  }

  /** Process ids that the programs printed. */
  get pids(): number[] {
    return [...this.stdout.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid))
  }
}

/** Whether a process is there. */
export const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
