// Checks how deep JSON is nested, in its text or in the parsed value, whichever is faster.

/** The depth of a longer text is checked before it is parsed. */
export const LONG_TEXT_CHARACTERS = 3 << 19

/** Whether a text has so few containers that none can be nested deeper. */
export function hasFewContainers(json: string, levels: number): boolean {
  let count = 0
  for (const opening of '[{') {
    for (let i = json.indexOf(opening); i !== -1; i = json.indexOf(opening, i + 1))
      if (++count > levels) return false
  }
  return true
}

export function isValueDeeper(value: object, levels: number): boolean {
  if (levels === 0) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i]
      if (isObject(item) && isValueDeeper(item, levels - 1)) return true
    }
    return false
  }
  for (const name in value) {
    const item = (value as Record<string, unknown>)[name]
    if (isObject(item) && isValueDeeper(item, levels - 1)) return true
  }
  return false
}
export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Checks the text: parsing deep JSON takes long, and so does walking over a parsed value with many names. */
export function isTextDeeper(json: string, levels: number): boolean {
  let level = 0
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i)
    if (char === QUOTE) {
      i = findStringEnd(json, i)
      if (i === -1) return false
    } else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      if (++level > levels) return true
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) level--
  }
  return false
}

const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [34, 92, 91, 93, 123, 125]

/** The index of the quote that ends the string at `start`; -1 if there is none. */
export function findStringEnd(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let escapes = end
    while (json.charCodeAt(escapes - 1) === BACKSLASH) escapes--
    if ((end - escapes) % 2 === 0) return end
  }
  return -1
}
