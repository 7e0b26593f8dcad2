// The lines of `line_counter`, from the server's own source: each is lit while it calls this page.

/** Time that a line stays lit, in ms. */
const LIT_FOR = 250

/** How often a line ran, whether it ran since it was drawn, and until when it is lit. */
const NEVER_RUN = { count: 0, ran: false, litUntil: 0 }

export class Code {
  #lines = []
  /** The line that ran last: the server waits there, or has returned. */
  #last

  constructor(list) {
    this.list = list
  }

  /** Loads the source, and shows the method. */
  async load() {
    const source = await (await fetch('/line-counter.ts')).text()
    const lines = source.split('\n')
    const first = lines.findIndex(line => line.includes('exposed_line_counter('))
    const method = lines.slice(first, lines.indexOf('  }', first) + 1)
    this.#lines = method.map(line => {
      const [code, comment = ''] = line.trim().split(/(?=\/\/)/)
      const [item, calls, text, aside] = ['li', 'span', 'code', 'i'].map(tag => document.createElement(tag))
      calls.className = 'calls'
      text.style.setProperty('--indent', `${line.search(/\S/) - 2}ch`)
      aside.textContent = comment
      text.append(code, aside)
      item.append(calls, text)
      return { item, calls, code, ...NEVER_RUN }
    })
    this.list.replaceChildren(...this.#lines.map(({ item }) => item))
  }

  /** Forgets the calls of the last count. */
  reset() {
    this.#last = undefined
    for (const line of this.#lines) Object.assign(line, NEVER_RUN)
  }

  /** Notes that the line with this text has run. */
  ran(text) {
    const line = this.#lines.find(({ code }) => code.includes(text))
    if (!line) return
    line.count++
    line.ran = true
    this.#last = line
  }

  draw(now, number) {
    for (const line of this.#lines) {
      if (line.ran) line.litUntil = now + LIT_FOR
      line.ran = false
      line.item.classList.toggle('lit', line === this.#last || now < line.litUntil)
      line.calls.textContent = line.count ? number.format(line.count) : ''
    }
  }
}
