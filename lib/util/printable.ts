// Makes a peer's text safe to show: in errors, logs and on a terminal.

/** Characters that a terminal or log interprets or hides: controls, line ends, bidirectional marks, surrogates. */
const INVISIBLE_CHARACTERS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
/** Longest text of an error. */
const MAX_TEXT_CHARACTERS = 1000

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Escapes as JSON does: a JSON text keeps its meaning. */
const escapeInvisible = (character: string): string =>
  SHORT_ESCAPES[character] ??
  Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  ).join('')

/** The text, without its end if it is too long. Does not split a surrogate pair. */
export function truncate(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text
  return `${text.slice(0, maxCharacters - 4).replace(/[\ud800-\udbff]$/, '')}…`
}

/** The text in one line, truncated, with invisible characters escaped. */
export const toPrintable = (text: string, maxCharacters = MAX_TEXT_CHARACTERS): string =>
  truncate(text, maxCharacters).replace(INVISIBLE_CHARACTERS, escapeInvisible)

/** The text in several lines, not truncated, with other invisible characters escaped. */
export const toPrintableLines = (text: string): string =>
  text.replace(INVISIBLE_CHARACTERS, character =>
    character === '\n' ? character : escapeInvisible(character)
  )

/** The address without user name and password, for errors and terminals. */
export const redactCredentials = (address: string): string => address.replace(/\/\/[^/?#\\]*@/, '//')
