// Reads a document of XML-RPC: a call, a result or a fault.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SAXParser } from 'sax'
import { quote } from '../../util/describe.js'
import { invalidCharacterIn } from './characters.js'
import {
  allowsChild,
  DOCUMENT,
  ELEMENTS,
  type ElementType,
  type ReadLimits,
  type XmlRpcDocument
} from './grammar.js'
import { MalformedXmlError } from './malformed.js'
import type { Sax } from './sax.js'

/** Characters that are parsed before other work of the process gets its turn. */
const SLICE_CHARACTERS = 1 << 16
const MAX_QUOTED_CHARACTERS = 40

/** The entities of XML, without the members of `Object.prototype`: `&constructor;` is no entity. */
const ENTITIES: Record<string, string> = Object.assign(Object.create(null), {
  amp: '&',
  apos: "'",
  gt: '>',
  lt: '<',
  quot: '"'
})

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
  const reader = new DocumentReader(sax, limits)
  for (let start = 0; start < normalized.length; start += SLICE_CHARACTERS) {
    if (start > 0) await nextTurn()
    reader.write(normalized.slice(start, start + SLICE_CHARACTERS))
  }
  return reader.end()
}

/** An element that has begun. */
interface OpenElement {
  readonly name: string
  readonly type: ElementType
  /** The values of its children so far. */
  readonly values: unknown[]
  text: string
}

class DocumentReader {
  readonly #parser: SAXParser
  readonly #limits: ReadLimits
  readonly #document: OpenElement = { name: 'the document', type: DOCUMENT, values: [], text: '' }
  /** The open elements, outermost first. */
  readonly #open = [this.#document]
  /** Number of open `<value>`s. */
  #depth = 0

  constructor(sax: Sax, limits: ReadLimits) {
    this.#limits = limits
    const parser = sax.parser(true, { position: false })
    parser.ENTITIES = ENTITIES
    parser.onopentagstart = ({ name }) => this.#begin(name)
    parser.onclosetag = () => this.#finish()
    parser.ontext = parser.oncdata = text => this.#append(text)
    parser.ondoctype = parser.onsgmldeclaration = refuseDeclaration
    parser.onerror = refuse
    this.#parser = parser
  }

  write(text: string): void {
    this.#parser.write(text)
  }

  end(): XmlRpcDocument {
    this.#parser.close()
    const [document] = this.#document.values
    if (document === undefined) throw new MalformedXmlError('no element')
    return document as XmlRpcDocument
  }

  #begin(tag: string): void {
    // Apache's library writes its additional types with this prefix.
    const name = tag.startsWith('ex:') ? tag.slice(3) : tag
    const parent = this.#open.at(-1)!
    const type = ELEMENTS.get(name)
    if (!type || !allowsChild(parent.type, parent.values.length, name))
      throw new MalformedXmlError(`the element ${quote(tag, MAX_QUOTED_CHARACTERS)} in ${parent.name}`)
    if (name === 'value' && ++this.#depth > this.#limits.depth)
      throw new MalformedXmlError(`a value deeper than ${this.#limits.depth} (limits.depth)`)
    this.#open.push({ name, type, values: [], text: '' })
  }

  #append(text: string): void {
    const element = this.#open.at(-1)!
    if (element.type.hasText) element.text += text
    else if (text.trim() !== '') throw new MalformedXmlError(`text in ${element.name}`)
  }

  #finish(): void {
    const { name, type, values, text } = this.#open.pop()!
    if (values.length < type.minChildren) throw new MalformedXmlError(`an element is missing in ${name}`)
    if (name === 'value') this.#depth--
    this.#open.at(-1)!.values.push(type.read(values, text, this.#limits))
  }
}

function refuse({ message }: Error): never {
  throw new MalformedXmlError(message)
}

/** The entities of a declaration could expand to any length. */
function refuseDeclaration(): never {
  throw new MalformedXmlError('a declaration, such as DOCTYPE')
}
