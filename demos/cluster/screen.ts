// What the demo prints: events, and below them a live table on a terminal; elsewhere events, and a line every few seconds.
import type { ServiceInstance } from 'netref/nats'
import { bold, dim } from '../terminal.js'

/** How often a line of totals is printed where there is no terminal, in ms. */
const LINE_EVERY_MS = 3000

const COLUMNS = ['instance', 'version', 'zone', 'process', 'sessions', 'calls', 'callbacks']

const cellsOf = ({ id, version, metadata, metrics }: ServiceInstance) => [
  id,
  version,
  metadata.zone ?? '',
  metadata.pid ?? '',
  String(metrics.sessions),
  String(metrics.callsIn),
  String(metrics.callsOut)
]

export const times = (count: number, word: string) => `${count} ${count === 1 ? word : `${word}s`}`

export class Screen {
  readonly #started = performance.now()
  #lineDue = LINE_EVERY_MS
  /** Lines of the table on the terminal. */
  #tableLines = 0

  constructor(private readonly out = process.stdout) {}

  /** Prints an event above the table. */
  event(text: string): void {
    this.#erase()
    this.out.write(`${dim(this.#time())}  ${text}\n`)
  }

  /** Draws the table anew. */
  draw(instances: readonly ServiceInstance[], totals: string): void {
    if (!this.out.isTTY) return this.#drawLine(instances, totals)
    this.#erase()
    const rows = instances.map(cellsOf).sort(([, , a], [, , b]) => (a! < b! ? -1 : 1))
    const widths = COLUMNS.map((name, i) => Math.max(name.length, ...rows.map(row => row[i]!.length)))
    const line = (cells: readonly string[]) =>
      cells.map((cell, i) => (i > 3 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ')
    const lines = ['', dim(line(COLUMNS)), ...rows.map(line), '', `${dim(this.#time())}  ${totals}`]
    this.out.write(`${lines.join('\n')}\n`)
    this.#tableLines = lines.length
  }

  #drawLine(instances: readonly ServiceInstance[], totals: string): void {
    if (performance.now() - this.#started < this.#lineDue) return
    this.#lineDue += LINE_EVERY_MS
    this.event(`${times(instances.length, 'instance')}: ${totals}`)
  }

  #erase(): void {
    if (this.#tableLines > 0) this.out.write(`\x1b[${this.#tableLines}F\x1b[J`)
    this.#tableLines = 0
  }

  #time(): string {
    return `${((performance.now() - this.#started) / 1000).toFixed(1).padStart(5)} s`
  }

  /** Prints the last line, after the table. */
  end(text: string): void {
    this.#tableLines = 0
    this.out.write(`\n${bold(text)}\n`)
  }
}
