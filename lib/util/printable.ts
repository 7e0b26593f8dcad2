// Text of a peer's where people read it: in errors, labels, logs and on a terminal.

/**
 * What a terminal or a log acts on, and what cannot be seen there: controls, ends of lines, what turns the direction of
 * text or has no width, and halves of characters.
 */
const INVISIBLE_CHARACTERS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
/** How much of a text is read, in characters: errors of netref's own say no more. */
const MAX_TEXT_CHARACTERS = 1000

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** As JSON writes it: what is in JSON means the same afterwards. */
const escapeInvisible = (character: string): string =>
  SHORT_ESCAPES[character] ??
  Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  ).join('')

/** The text without its end where it is longer than that; no character is cut in two. */
export function truncate(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text
  return `${text.slice(0, maxCharacters - 4).replace(/[\ud800-\udbff]$/, '')}…`
}

/** The text in one line, cut where it is long, and each character that cannot be seen as its escape. */
export const toPrintable = (text: string, maxCharacters = MAX_TEXT_CHARACTERS): string =>
  truncate(text, maxCharacters).replace(INVISIBLE_CHARACTERS, escapeInvisible)

/** The same for a text of several lines, which is not cut. */
export const toPrintableLines = (text: string): string =>
  text.replace(INVISIBLE_CHARACTERS, character =>
    character === '\n' ? character : escapeInvisible(character)
  )
