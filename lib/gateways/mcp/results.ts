// Writes the results of methods as results of tools: text for the model, and structured content for programs.

import type { CallToolResult } from '@modelcontextprotocol/server'
import { LimitError } from '../../errors.js'
import type { JsonSchema } from '../../types/json-schema.js'
import { giveBack } from '../support/give-back.js'
import { isIterator } from '../support/iterator.js'
import { type TextLimits, toJsonText } from '../support/json-value.js'

const SYSTEM = 'MCP'

/**
 * The result of a tool. A string is the text as it is, other data is JSON. Objects are structured content, too; with a JSON
 * Schema of the result, any value is. An iterator is read to its end, and becomes a list.
 *
 * @param output the JSON Schema of the result
 * @param takeRoom gets the length of the text, and may throw
 * @throws NoFormError for a reference, or a value that holds one; all references are then given back
 * @throws LimitError for a result whose text is much longer than a message of a session may be
 */
export async function toToolResult(
  result: unknown,
  output: JsonSchema | undefined,
  limits: TextLimits,
  takeRoom?: (length: number) => void
): Promise<CallToolResult> {
  const json = isIterator(result) ? await collect(result, limits) : toJson(result, ['result'], limits)
  const text = typeof result === 'string' ? result : json
  takeRoom?.(text.length)
  return {
    content: result === undefined ? [] : [{ type: 'text', text }],
    ...((output || json.startsWith('{')) && { structuredContent: JSON.parse(json) })
  }
}

/** The JSON of a value. If it has none, the references in it are given back; other values have none. */
function toJson(value: unknown, path: readonly (string | number)[], limits: TextLimits): string {
  try {
    return toJsonText(value, path, limits, SYSTEM)
  } catch (error) {
    giveBack(value)
    throw error
  }
}

/** Reads an iterator, as a list in JSON. It is left when the list gets too long. */
async function collect(items: AsyncIterable<unknown>, limits: TextLimits): Promise<string> {
  const texts: string[] = []
  let length = 0
  for await (const item of items) {
    const text = toJson(item, ['result', texts.length], limits)
    length += text.length + 1
    if (length > limits.jsonBytes)
      throw new LimitError(
        'limit',
        `the list is longer than ${limits.jsonBytes} characters (limits.jsonBytes), after ${texts.length} items`
      )
    texts.push(text)
  }
  return `[${texts.join(',')}]`
}
