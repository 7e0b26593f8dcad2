// Characters that XML does not have, and the escaping of those that it reserves.

/** A character that no XML document has: most controls, lone surrogates, U+FFFE and U+FFFF. */
const INVALID_CHARACTER = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u
const INVALID_CHARACTERS = new RegExp(INVALID_CHARACTER, 'gu')
const RESERVED_CHARACTERS = /[&<>\r]/g
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  // A parser of XML reads a bare one as a line feed.
  '\r': '&#13;'
}

/** The first character that XML does not have; undefined if there is none. */
export const invalidCharacterIn = (text: string): string | undefined => INVALID_CHARACTER.exec(text)?.[0]

/** The text with replacement characters for those that XML does not have. */
export const withoutInvalidCharacters = (text: string): string => text.replace(INVALID_CHARACTERS, '\ufffd')

export const escapeXml = (text: string): string =>
  text.replace(RESERVED_CHARACTERS, character => ESCAPES[character]!)
