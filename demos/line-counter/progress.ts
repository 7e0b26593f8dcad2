// A progress bar: redrawn a few times a second on a terminal, a few plain lines elsewhere.
import { dim, green } from '../terminal.js'

const WIDTH = 30
/** In ms. */
const REDRAW_AFTER = 150

export class Progress {
  #lines = 0
  #bytes = 0
  #drawn = performance.now()
  #percent = 0

  constructor(
    /** Size of the file, in bytes. */
    private readonly size: number,
    private readonly out = process.stdout
  ) {}

  /** Counts a line and redraws the bar if it is time. */
  add(line: string): void {
    this.#lines++
    this.#bytes += Buffer.byteLength(line) + 1
    const percent = Math.min(99, Math.floor((100 * this.#bytes) / (this.size || Infinity)))
    if (this.out.isTTY) {
      const now = performance.now()
      if (now - this.#drawn > REDRAW_AFTER) this.#draw(percent, now)
    } else if (percent >= this.#percent + 10) this.#print(percent - (percent % 10))
  }

  /** Completes the bar. */
  end(): void {
    if (this.out.isTTY) {
      this.#draw(100, 0)
      this.out.write('\n')
    } else this.#print(100)
  }

  #draw(percent: number, now: number): void {
    this.#drawn = now
    const done = Math.round((WIDTH * percent) / 100)
    const bar = green('█'.repeat(done)) + dim('░'.repeat(WIDTH - done))
    this.out.write(`\r${bar} ${this.#figures(percent)}`)
  }

  #print(percent: number): void {
    this.#percent = percent
    this.out.write(`${this.#figures(percent)}\n`)
  }

  #figures(percent: number): string {
    return `${String(percent).padStart(3)} %  ${String(this.#lines).padStart(8)} lines`
  }
}
