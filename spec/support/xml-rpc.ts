// Helpers of the specs of XML-RPC: requests over HTTP, and what is in their responses.
import sax from 'sax'
import { writeCall } from '../../lib/gateways/xml-rpc/documents.js'
import type { XmlRpcDocument } from '../../lib/gateways/xml-rpc/grammar.js'
import { readDocument } from '../../lib/gateways/xml-rpc/reader.js'
import { writeValue } from '../../lib/gateways/xml-rpc/writer.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'

/** Reads a document as an XML-RPC client or server does. */
export const readXml = (xml: string): Promise<XmlRpcDocument> => readDocument(sax, xml, DEFAULT_LIMITS)

/** The document of a call. */
export const callXml = (method: string, ...params: unknown[]): string =>
  writeCall(
    method,
    params.map(param => writeValue(param, ['args'], DEFAULT_LIMITS))
  )

/** Posts a document. */
export const postXml = (url: string, xml: string | Uint8Array, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body: xml, headers: { 'content-type': 'text/xml', ...headers } })

export interface Fault {
  readonly faultCode: number
  readonly faultString: string
}

/** Posts a document. @returns the result, or the fault */
export async function outcomeOf(url: string, xml: string | Uint8Array): Promise<unknown> {
  const document = await readXml(await (await postXml(url, xml)).text())
  return (document as Exclude<XmlRpcDocument, { kind: 'call' }>).value
}
