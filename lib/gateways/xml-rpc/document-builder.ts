// Builds a document of XML-RPC from its tags and texts, and checks that its elements are those of XML-RPC.
import { quote } from '../../util/describe.js'
import {
  allowsChild,
  DOCUMENT,
  ELEMENTS,
  type ElementType,
  type ReadLimits,
  type XmlRpcDocument
} from './grammar.js'
import { MalformedXmlError } from './malformed.js'

const MAX_QUOTED_CHARACTERS = 40

/** An element that has begun. */
interface OpenElement {
  readonly name: string
  readonly type: ElementType
  /** The values of its children so far. */
  readonly values: unknown[]
  text: string
}

/** Its methods throw a MalformedXmlError for what XML-RPC does not have. The caller checks that tags match. */
export class DocumentBuilder {
  readonly #document: OpenElement = { name: 'the document', type: DOCUMENT, values: [], text: '' }
  /** The open elements, outermost first. */
  readonly #open = [this.#document]
  /** Number of open `<value>`s. */
  #depth = 0

  constructor(private readonly limits: ReadLimits) {}

  begin(tag: string): void {
    // Apache's library writes its additional types with this prefix.
    const name = tag.startsWith('ex:') ? tag.slice(3) : tag
    const parent = this.#open.at(-1)!
    const type = ELEMENTS.get(name)
    if (!type || !allowsChild(parent.type, parent.values.length, name))
      throw new MalformedXmlError(`the element ${quote(tag, MAX_QUOTED_CHARACTERS)} in ${parent.name}`)
    if (name === 'value' && ++this.#depth > this.limits.depth)
      throw new MalformedXmlError(`a value deeper than ${this.limits.depth} (limits.depth)`)
    this.#open.push({ name, type, values: [], text: '' })
  }

  append(text: string): void {
    const element = this.#open.at(-1)!
    if (element.type.hasText) element.text += text
    else if (text.trim() !== '') throw new MalformedXmlError(`text in ${element.name}`)
  }

  finish(): void {
    const { name, type, values, text } = this.#open.pop()!
    if (values.length < type.minChildren) throw new MalformedXmlError(`an element is missing in ${name}`)
    if (name === 'value') this.#depth--
    this.#open.at(-1)!.values.push(type.read(values, text, this.limits))
  }

  /** The document, once all elements are finished. */
  end(): XmlRpcDocument {
    const [document] = this.#document.values
    if (document === undefined) throw new MalformedXmlError('no element')
    return document as XmlRpcDocument
  }
}
