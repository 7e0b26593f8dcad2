// The error for a text that is not a document of XML-RPC.

/** The text is not well-formed XML, or not XML-RPC. */
export class MalformedXmlError extends Error {
  override name = 'MalformedXmlError'
}
