// Text of a peer's where people read it: in errors, labels, logs and on a terminal.

/**
 * What a terminal or a log acts on, and what cannot be seen there: controls, ends of lines, what turns the direction of
 * text or has no width, and halves of characters.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
/** How much of a text is read, in characters: errors of netref's own say no more. */
const TEXT = 1000

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** As JSON writes it: what is in JSON means the same afterwards. */
const escapeUnseen = (character: string): string =>
  SHORT[character] ??
  Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  ).join('')

/** The text without its end where it is longer than that; no character is cut in two. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text
  return `${text.slice(0, most - 4).replace(/[\ud800-\udbff]$/, '')}…`
}

/** The text in one line, cut where it is long, and each character that cannot be seen as its escape. */
export const printable = (text: string, most = TEXT): string => cut(text, most).replace(UNSEEN, escapeUnseen)

/** The same for a text of several lines, which is not cut. */
export const printableLines = (text: string): string =>
  text.replace(UNSEEN, character => (character === '\n' ? character : escapeUnseen(character)))
