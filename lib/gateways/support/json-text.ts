// Parses the JSON that a foreign client sends, within bounds.

import { isTextDeeper } from '../../protocol/json-depth.js'

/**
 * Parses the bytes of a JSON text.
 *
 * @param maxDepth maximum depth of its objects and lists
 * @throws SyntaxError if it is not UTF-8, not JSON, or too deep
 */
export function parseJson(bytes: Uint8Array, maxDepth: number): unknown {
  const text = decodeUtf8(bytes)
  if (isTextDeeper(text, maxDepth))
    throw new SyntaxError(`a value is nested deeper than ${maxDepth} levels (limits.depth)`)
  return JSON.parse(text)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes)
  } catch {
    throw new SyntaxError('the text is not UTF-8')
  }
}
const UTF_8 = new TextDecoder('utf-8', { fatal: true })
