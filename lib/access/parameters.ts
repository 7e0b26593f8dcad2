// Reads the names of a function's parameters from its source.

type AnyFunction = (...args: never[]) => unknown

const sourceOf = (fn: AnyFunction) => Function.prototype.toString.call(fn)
export const isClassConstructor = (fn: AnyFunction): boolean => /^class\b/.test(sourceOf(fn))

/** Tokens: blanks, comments, strings, words, arrows and rest dots. Any other character is a token of its own. */
const TOKEN_PATTERN =
  /\s+|\/\*.*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\$])*`|[\p{ID_Start}$_#][\p{ID_Continue}$]*|=>|\.{3}|./gsuy
const BLANK_PATTERN = /^(?:\s|\/[*/])/
const WORD_PATTERN = /^[\p{ID_Start}$_]/u
const NATIVE_PATTERN = /\{\s*\[native code\]\s*\}$/

/** The parameter names by function. A source can be long and a peer may ask often, so each function is read once. */
const namesByFunction = new WeakMap<AnyFunction, readonly string[] | null>()

/**
 * The parameter names as in a signature: `name`, `name?` with a default, `...name`, and `arg0` for a destructured
 * parameter. All are `arg0`, `arg1`, … if a simple scan cannot read them: a default with a regular expression, say.
 *
 * @returns undefined for a function without source, and for a class that inherits its constructor
 */
export function parameterNamesOf(fn: AnyFunction): readonly string[] | undefined {
  let parameters = namesByFunction.get(fn)
  if (parameters === undefined) namesByFunction.set(fn, (parameters = readParameterNames(fn)))
  return parameters ?? undefined
}

function readParameterNames(fn: AnyFunction): string[] | null {
  const source = sourceOf(fn)
  if (NATIVE_PATTERN.test(source)) return null
  const tokens = tokensOf(source)
  const names = isClassConstructor(fn) ? constructorParameters(tokens) : functionParameters(tokens)
  // The names must agree with V8's count of the parameters before the first one with a default, or the rest parameter.
  const length = Number(Object.getOwnPropertyDescriptor(fn, 'length')?.value) || 0
  const optional = names?.findIndex(name => /^\.|\?$/.test(name)) ?? 0
  if (names === null || (names && (optional < 0 ? names.length : optional) === length)) return names
  return Array.from({ length }, (_, i) => `arg${i}`)
}

function* tokensOf(source: string): Generator<string, undefined> {
  for (const [token] of source.matchAll(TOKEN_PATTERN)) if (!BLANK_PATTERN.test(token)) yield token
}

/** The change of the bracket depth after a token. */
const nestingChange = (token: string) => ('([{'.includes(token) ? 1 : ')]}'.includes(token) ? -1 : 0)

/** @returns undefined if the parameters cannot be determined */
function functionParameters(tokens: Generator<string, undefined>): string[] | undefined {
  let depth = 0
  let previous = ''
  for (const token of tokens) {
    if (token === '=>') return [previous]
    if (depth === 0 && token === '(') return parseParameterList(tokens)
    depth += nestingChange(token)
    previous = token
  }
  return undefined
}

/** @returns null for a class that inherits its constructor */
function constructorParameters(tokens: Generator<string, undefined>): string[] | undefined | null {
  let depth = 0
  let previous = ''
  let inherits = false
  for (const token of tokens) {
    if (depth === 0 && token === 'extends') inherits = true
    if (depth === 1 && token === '(' && previous === 'constructor') return parseParameterList(tokens)
    depth += nestingChange(token)
    previous = token
  }
  return inherits ? null : []
}

/** The names in a parameter list. `tokens` starts after the opening bracket. */
function parseParameterList(tokens: Generator<string, undefined>): string[] | undefined {
  const names: string[] = []
  let depth = 0
  let parameter: string[] = []
  for (const token of tokens) {
    if (token === '/' || token === '`') return undefined
    if (depth === 0 && (token === ',' || token === ')')) {
      if (parameter.length > 0) names.push(parameterName(parameter, names.length))
      if (token === ')') return names
      parameter = []
    } else {
      if (depth === 0) parameter.push(token)
      depth += nestingChange(token)
    }
  }
  return undefined
}

/** @param parameter the tokens of one parameter that are outside of brackets */
function parameterName(parameter: readonly string[], index: number): string {
  const isRest = parameter[0] === '...'
  const first = parameter[isRest ? 1 : 0]!
  const name = WORD_PATTERN.test(first) ? first : `arg${index}`
  return isRest ? `...${name}` : parameter.includes('=') ? `${name}?` : name
}
