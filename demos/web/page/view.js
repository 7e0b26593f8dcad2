// The view of the page: drawn once a frame from the present state.
import { CallReader } from './calls.js'
import { Code } from './code.js'

const element = id => document.getElementById(id)
const number = new Intl.NumberFormat('en', { useGrouping: true })

/** Rows of the lists. */
const SAID = 7
const MESSAGES = 10
const ENTRIES = 3
/** Most characters of a row that are kept: more than a wide screen shows. */
const ROW = 300

/** Time between two measurements of the rate, in ms. */
const RATE_EVERY = 250
/** Time that the page says that a cut has passed, in ms. */
const CARRIED_ON_FOR = 2000

export class View {
  /** From 0 to 1. */
  progress = 0
  #lines = 0
  #cuts = 0
  #said = []
  #messages = []
  #calls = new CallReader()
  #code = new Code(element('code'))
  /** The id of the call of `line_counter`. */
  #counting
  #calm

  #rate = 0
  #peak = 0
  #measuredLines = 0
  #measuredAt = performance.now()

  /** @param {() => import('netref').Connection} connection returns the present connection */
  constructor(connection) {
    this.connection = connection
    this.#code.load()
    const draw = () => {
      this.#draw()
      requestAnimationFrame(draw)
    }
    requestAnimationFrame(draw)
  }

  /** A count begins. */
  begin(name) {
    this.#lines = this.progress = this.#rate = this.#peak = this.#measuredLines = 0
    this.#measuredAt = performance.now()
    this.#said = []
    this.#code.reset()
    this.result(`The server counts ${name}…`)
  }

  /** The count has ended, with this text. */
  end(text) {
    // A short file is counted before the first measurement.
    if (this.#measuredLines === 0) this.#measure(performance.now())
    this.result(text)
  }

  say(line) {
    this.#lines++
    keep(this.#said, SAID, line.slice(0, ROW))
  }

  /** A line of netref's trace. */
  message(direction, line) {
    const read = this.#calls.read(direction, line)
    if (!read) return
    const { id, call, text } = read
    keep(this.#messages, MESSAGES, [direction === '→' ? 'out' : 'in', `${direction} ${text.slice(0, ROW)}`])
    if (direction === '→') {
      if (call === 'root.line_counter') this.#counting = id
    } else if (call) this.#code.ran(`${call}(`)
    else if (id === this.#counting && text.startsWith('returns')) this.#code.ran('return ')
  }

  status(text, state) {
    clearTimeout(this.#calm)
    element('status').textContent = text
    element('status').className = `status ${state}`
  }

  /** The socket was cut. */
  cut() {
    this.#cuts++
    this.status('cut · looking for the server', 'off')
  }

  /** The session continues over another socket. The page says so for two seconds, then `text` again. */
  carriedOn(text) {
    this.status('cut · carried on, nothing lost', 'kept')
    this.#calm = setTimeout(() => this.status(text, 'on'), CARRIED_ON_FOR)
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

  #measure(now) {
    this.#rate = ((this.#lines - this.#measuredLines) * 1000) / (now - this.#measuredAt)
    this.#peak = Math.max(this.#peak, this.#rate)
    this.#measuredAt = now
    this.#measuredLines = this.#lines
  }

  #draw() {
    const now = performance.now()
    if (now - this.#measuredAt > RATE_EVERY) this.#measure(now)
    const { stats, session } = this.connection()
    element('lines').textContent = number.format(this.#lines)
    element('rate').textContent = number.format(Math.round(this.#rate))
    element('peak').textContent = number.format(Math.round(this.#peak))
    element('cuts').textContent = this.#cuts
    element('progress').value = this.progress
    element('percent').textContent = `${Math.floor(100 * this.progress)} %`
    element('frames').textContent = `${number.format(stats.framesIn)} · ${number.format(stats.framesOut)}`
    element('export-count').textContent = stats.exports
    element('import-count').textContent = stats.imports
    const { exports, imports } = session.tables
    table(
      'exports',
      exports.map(({ id, object }) => `#${id} ${describe(object)}`)
    )
    table(
      'imports',
      imports.map(({ object }) => String(object))
    )
    list(
      'said',
      this.#said.map(line => ['', line])
    )
    list('messages', this.#messages)
    this.#code.draw(now, number)
  }
}

/** Appends a row, and drops the oldest beyond `most`. */
function keep(rows, most, row) {
  rows.push(row)
  if (rows.length > most) rows.shift()
}

/** Shows rows, each a class and a text. */
function list(id, rows) {
  element(id).replaceChildren(
    ...rows.map(([className, text]) =>
      Object.assign(document.createElement('li'), { className, textContent: text })
    )
  )
}

function table(id, texts) {
  const more =
    texts.length > ENTRIES
      ? [...texts.slice(0, ENTRIES - 1), `and ${texts.length - ENTRIES + 1} more`]
      : texts
  list(
    id,
    more.map(text => ['', text])
  )
}

const describe = object =>
  typeof object === 'function'
    ? `ƒ ${object.name || 'callback'}`
    : `${object.constructor?.name ?? 'object'} {…}`
