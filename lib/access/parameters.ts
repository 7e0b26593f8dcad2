// The names of a function's parameters, read from its source.

type AnyFunction = (...args: never[]) => unknown

const sourceOf = (fn: AnyFunction) => Function.prototype.toString.call(fn)
export const isClass = (fn: AnyFunction): boolean => /^class\b/.test(sourceOf(fn))

/** Blanks, comments, strings, words, arrows and dots; any other character is a token of its own. */
const TOKEN =
  /\s+|\/\*.*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\$])*`|[\p{ID_Start}$_#][\p{ID_Continue}$]*|=>|\.{3}|./gsuy
const BLANK = /^(?:\s|\/[*/])/
const WORD = /^[\p{ID_Start}$_]/u
const NATIVE = /\{\s*\[native code\]\s*\}$/

/** Read once per function: a source can be long, and a peer may ask often. */
const known = new WeakMap<AnyFunction, readonly string[] | null>()

/**
 * As a signature has them: `name`, `name?` with a default, `...name`, and `arg0` for one that is taken apart. All are
 * `arg0`, `arg1`, … where to read them takes more than a look: a default with a regular expression, say.
 *
 * @returns undefined for what has no source, and for a class that inherits its constructor
 */
export function parametersOf(fn: AnyFunction): readonly string[] | undefined {
  let parameters = known.get(fn)
  if (parameters === undefined) known.set(fn, (parameters = read(fn)))
  return parameters ?? undefined
}

function read(fn: AnyFunction): string[] | null {
  const source = sourceOf(fn)
  if (NATIVE.test(source)) return null
  const tokens = tokensOf(source)
  const names = isClass(fn) ? ofClass(tokens) : ofFunction(tokens)
  // What V8 counts has to agree: those before the first with a default, or the rest.
  const length = Number(Object.getOwnPropertyDescriptor(fn, 'length')?.value) || 0
  const optional = names?.findIndex(name => /^\.|\?$/.test(name)) ?? 0
  if (names === null || (names && (optional < 0 ? names.length : optional) === length)) return names
  return Array.from({ length }, (_, i) => `arg${i}`)
}

function* tokensOf(source: string): Generator<string, undefined> {
  for (const [token] of source.matchAll(TOKEN)) if (!BLANK.test(token)) yield token
}

/** How much deeper in brackets it is behind a token. */
const step = (token: string) => ('([{'.includes(token) ? 1 : ')]}'.includes(token) ? -1 : 0)

/** @returns undefined where they are not to be made out. */
function ofFunction(tokens: Generator<string, undefined>): string[] | undefined {
  let depth = 0
  let before = ''
  for (const token of tokens) {
    if (token === '=>') return [before]
    if (depth === 0 && token === '(') return ofList(tokens)
    depth += step(token)
    before = token
  }
  return undefined
}

/** @returns null for a class that has no constructor of its own to look at. */
function ofClass(tokens: Generator<string, undefined>): string[] | undefined | null {
  let depth = 0
  let before = ''
  let inherits = false
  for (const token of tokens) {
    if (depth === 0 && token === 'extends') inherits = true
    if (depth === 1 && token === '(' && before === 'constructor') return ofList(tokens)
    depth += step(token)
    before = token
  }
  return inherits ? null : []
}

/** The names in a list of parameters, from behind its bracket on. */
function ofList(tokens: Generator<string, undefined>): string[] | undefined {
  const names: string[] = []
  let depth = 0
  let parameter: string[] = []
  for (const token of tokens) {
    if (token === '/' || token === '`') return undefined
    if (depth === 0 && (token === ',' || token === ')')) {
      if (parameter.length > 0) names.push(nameOf(parameter, names.length))
      if (token === ')') return names
      parameter = []
    } else {
      if (depth === 0) parameter.push(token)
      depth += step(token)
    }
  }
  return undefined
}

/** `parameter` is what stands outside of brackets. */
function nameOf(parameter: readonly string[], index: number): string {
  const rest = parameter[0] === '...'
  const first = parameter[rest ? 1 : 0]!
  const name = WORD.test(first) ? first : `arg${index}`
  return rest ? `...${name}` : parameter.includes('=') ? `${name}?` : name
}
