// Scans plain documents: tags without attributes, texts, and the entities of XML. Most documents of XML-RPC are plain, and
// sax takes several times as long. What is not plain, or not well-formed, is left to sax.
import type { DocumentBuilder } from './document-builder.js'

const DECLARATION = /^<\?xml version=(["'])1\.0\1(?: encoding=(["'])[\w.-]+\2)? ?\?>/
/** A tag, or the text until the next one. */
const TOKEN = /<(\/?)([A-Za-z][\w.:]*)(\/?)>|([^<]+)/y
const REST = /[^ \t\n]/

/** The entities of XML, without the members of `Object.prototype`. */
export const ENTITIES: Record<string, string> = Object.assign(Object.create(null), {
  amp: '&',
  apos: "'",
  gt: '>',
  lt: '<',
  quot: '"'
})

/**
 * Scans a document.
 *
 * @returns whether it is plain; otherwise the builder has a part of it
 * @throws MalformedXmlError as the builder
 */
export function scanPlainDocument(xml: string, builder: DocumentBuilder): boolean {
  const tags: string[] = []
  TOKEN.lastIndex = DECLARATION.exec(xml)?.[0].length ?? 0
  while (TOKEN.lastIndex < xml.length) {
    const token = TOKEN.exec(xml)
    if (!token) return false
    const [, slash, tag, lastSlash, text] = token
    if (tag === undefined) {
      const decoded = decodeEntities(text!)
      if (decoded === undefined || (tags.length === 0 && REST.test(decoded))) return false
      builder.append(decoded)
    } else if (slash) {
      if (lastSlash || tags.pop() !== tag) return false
      builder.finish()
    } else {
      builder.begin(tag)
      if (lastSlash) builder.finish()
      else tags.push(tag)
    }
  }
  return tags.length === 0
}

/** Undefined if it has another entity, or a reference to a character. */
function decodeEntities(text: string): string | undefined {
  if (!text.includes('&')) return text
  const parts = text.split('&')
  let decoded = parts[0]!
  for (const part of parts.slice(1)) {
    const end = part.indexOf(';')
    const character = ENTITIES[part.slice(0, end)]
    if (end < 0 || character === undefined) return undefined
    decoded += character + part.slice(end + 1)
  }
  return decoded
}
