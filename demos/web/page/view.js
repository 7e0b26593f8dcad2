// The view of the page: drawn once a frame from the present state.

const element = id => document.getElementById(id)
const number = new Intl.NumberFormat('en', { useGrouping: true })

const SAID = 7
const MESSAGES = 14

export class View {
  lines = 0
  /** From 0 to 1. */
  progress = 0
  #said = []
  #messages = []
  #drawnLines = 0
  #rateSince = performance.now()

  /** @param {() => import('netref').Connection} connection returns the present connection */
  constructor(connection) {
    this.connection = connection
    const draw = () => {
      this.#draw()
      requestAnimationFrame(draw)
    }
    requestAnimationFrame(draw)
  }

  say(line) {
    this.lines++
    this.#said.push(line)
    if (this.#said.length > SAID) this.#said.shift()
  }

  message(direction, line) {
    this.#messages.push([direction, line.slice(0, 160)])
    if (this.#messages.length > MESSAGES) this.#messages.shift()
  }

  status(text, state) {
    element('status').textContent = text
    element('status').className = `status ${state}`
  }

  result(text) {
    element('result').textContent = text
  }

  wave(text) {
    element('waves').textContent = text
  }

  ping(ms) {
    element('ping').textContent = `${ms.toFixed(1)} ms`
  }

  /** The other tabs, each with the action of its button. */
  tabs(others) {
    element('alone').hidden = others.length > 0
    element('tabs').replaceChildren(
      ...others.map(({ name, wave }) => {
        const button = document.createElement('button')
        button.textContent = `Wave to ${name}`
        button.addEventListener('click', wave)
        const item = document.createElement('li')
        item.append(button)
        return item
      })
    )
  }

  #draw() {
    const { stats, session } = this.connection()
    element('lines').textContent = number.format(this.lines)
    element('progress').value = this.progress
    element('percent').textContent = `${Math.floor(100 * this.progress)} %`
    element('said').textContent = this.#said.join('\n')
    element('frames').textContent = `${number.format(stats.framesIn)} · ${number.format(stats.framesOut)}`
    element('export-count').textContent = stats.exports
    element('import-count').textContent = stats.imports
    const { exports, imports } = session.tables
    list(
      'exports',
      exports.map(({ id, object }) => `#${id} ${describe(object)}`)
    )
    list(
      'imports',
      imports.map(({ object }) => String(object))
    )
    element('messages').replaceChildren(
      ...this.#messages.map(([direction, line]) => {
        const item = document.createElement('li')
        item.className = direction === '→' ? 'out' : 'in'
        item.textContent = `${direction} ${line}`
        return item
      })
    )
    const now = performance.now()
    if (now - this.#rateSince > 500) {
      const rate = ((this.lines - this.#drawnLines) * 1000) / (now - this.#rateSince)
      element('rate').textContent = number.format(Math.round(Math.max(0, rate)))
      this.#rateSince = now
      this.#drawnLines = this.lines
    }
  }
}

function list(id, texts) {
  element(id).replaceChildren(
    ...texts.slice(0, 4).map((text, i) => {
      const item = document.createElement('li')
      item.textContent = i === 3 && texts.length > 4 ? `and ${texts.length - 3} more` : text
      return item
    })
  )
}

const describe = object =>
  typeof object === 'function'
    ? `ƒ ${object.name || 'callback'}`
    : `${object.constructor?.name ?? 'object'} {…}`
