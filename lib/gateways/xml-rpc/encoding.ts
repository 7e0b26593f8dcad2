// Decodes the bytes of a document by its encoding.
import { quote } from '../../util/describe.js'
import { MalformedXmlError } from './malformed.js'

const CHARSET = /;\s*charset="?([^\s";]+)/i
const DECLARED = /^<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z][\w.-]*)["']/
/** Longest declaration of a document that is looked at. */
const MAX_DECLARATION_BYTES = 200

/**
 * The text of a document. Its encoding is that of the content type, else that of its declaration, else UTF-8.
 *
 * @throws MalformedXmlError for an unknown encoding, and for bytes that it does not have
 */
export function decodeDocument(bytes: Uint8Array, contentType = ''): string {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_DECLARATION_BYTES))
  const encoding = CHARSET.exec(contentType)?.[1] ?? DECLARED.exec(start.toString('latin1'))?.[1] ?? 'utf-8'
  const decoder = decoderOf(encoding)
  try {
    return decoder.decode(bytes)
  } catch {
    throw new MalformedXmlError(`bytes that are not ${decoder.encoding}`)
  }
}

function decoderOf(encoding: string) {
  try {
    return new TextDecoder(encoding, { fatal: true })
  } catch {
    throw new MalformedXmlError(`the encoding ${quote(encoding)}`)
  }
}
