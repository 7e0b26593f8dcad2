// Reads a document of XML-RPC: a call, a result or a fault.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SAXParser } from 'sax'
import { quote } from '../../util/describe.js'
import { invalidCharacterIn } from './characters.js'
import { DocumentBuilder } from './document-builder.js'
import type { ReadLimits, XmlRpcDocument } from './grammar.js'
import { MalformedXmlError } from './malformed.js'
import { ENTITIES, scanPlainDocument } from './plain-scanner.js'
import type { Sax } from './sax.js'

/** Characters that are parsed before other work of the process gets its turn. */
const SLICE_CHARACTERS = 1 << 16

/**
 * Reads a document, whose length the caller has checked. Time and memory are proportional to it.
 *
 * @throws MalformedXmlError if it is not well-formed, not XML-RPC, or deeper than `limits.depth`
 */
export async function readDocument(sax: Sax, text: string, limits: ReadLimits): Promise<XmlRpcDocument> {
  const invalid = invalidCharacterIn(text)
  if (invalid !== undefined) throw new MalformedXmlError(`the character ${quote(invalid)}`)
  // A document has one kind of line end. It writes a carriage return as a reference.
  const normalized = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text
  if (normalized.length <= SLICE_CHARACTERS) {
    const builder = new DocumentBuilder(limits)
    if (scanPlainDocument(normalized, builder)) return builder.end()
  }
  return await parseDocument(sax, normalized, limits)
}

/** Reads any document by sax, in slices. */
export async function parseDocument(sax: Sax, xml: string, limits: ReadLimits): Promise<XmlRpcDocument> {
  const builder = new DocumentBuilder(limits)
  const parser = createParser(sax, builder)
  for (let start = 0; start < xml.length; start += SLICE_CHARACTERS) {
    if (start > 0) await nextTurn()
    parser.write(xml.slice(start, start + SLICE_CHARACTERS))
  }
  parser.close()
  return builder.end()
}

function createParser(sax: Sax, builder: DocumentBuilder): SAXParser {
  const parser = sax.parser(true, { position: false })
  // Those of sax have the members of `Object.prototype`: `&constructor;` would be one.
  parser.ENTITIES = ENTITIES
  parser.onopentagstart = ({ name }) => builder.begin(name)
  parser.onclosetag = () => builder.finish()
  parser.ontext = parser.oncdata = text => builder.append(text)
  parser.ondoctype = parser.onsgmldeclaration = refuseDeclaration
  parser.onerror = refuse
  return parser
}

function refuse({ message }: Error): never {
  throw new MalformedXmlError(message)
}

/** The entities of a declaration could expand to any length. */
function refuseDeclaration(): never {
  throw new MalformedXmlError('a declaration, such as DOCTYPE')
}
