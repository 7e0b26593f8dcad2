// Reads calls and results from the lines that the option `trace` of netref passes.

/** The names of this page's objects, as `line_counter` calls them, by their classes. */
const NAMES = { PageFile: 'file', Visitor: 'visitor' }

/** A reference within arguments, e.g. `[3,"noisy"]`. In a string its quotes would be escaped. */
const REFERENCE = /(,?)\[(\d+),"(\w+)"\]/g
/** Type tags follow the arguments, e.g. ` [["f",[1]]]`. */
const TAGS = / \[\["\w.*$/

export class CallReader {
  /** Names of own objects, by their ids. */
  #names = new Map()

  /**
   * @param {'→' | '←'} direction
   * @param {string} line `call 5 #3 ["line 7"]`
   * @returns `{ id, call: 'noisy', text: 'noisy("line 7")' }`, or `{ id, text: 'returns 3' }`; undefined for any other
   *   message, and for a result without a value
   */
  read(direction, line) {
    const [, kind, id, rest] = /^(call|result|error) (\d+) (.*)$/.exec(line) ?? []
    if (kind === undefined) return undefined
    const text = this.#withNames(direction, rest)
    if (kind === 'result') return { id, text: `returns ${text}` }
    if (kind === 'error') return { id, text: `throws ${text}` }
    const [, call, args] = /^([^ ]+) ?(.*)$/.exec(text)
    return { id, call, text: `${call}(${args.slice(1, -1)})` }
  }

  /** Replaces ids by names. */
  #withNames(direction, rest) {
    const own = rest.replace(/^#(\d+)/, (target, id) => (direction === '←' && this.#names.get(id)) || target)
    if (!TAGS.test(own)) return own
    return own.replace(TAGS, '').replace(REFERENCE, (_, comma, id, type) => {
      const name = NAMES[type] ?? type
      if (direction === '→') this.#names.set(id, name)
      return `${comma && ', '}${name}`
    })
  }
}
