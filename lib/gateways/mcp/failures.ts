// Writes failed calls as results of tools, for a model that may correct its arguments.

import type { CallToolResult } from '@modelcontextprotocol/server'
import { ArgumentsError, type Issue } from '../../errors.js'
import { callFailureOf } from '../support/call-failure.js'
import { formatValuePath } from '../support/value-path.js'
import type { ToolParameters } from './parameters.js'
import type { Tool } from './tools.js'

/** The result of a call that failed. */
export const toFailure = (error: unknown, tool: Tool, exposeStacks: boolean): CallToolResult => ({
  isError: true,
  content: [{ type: 'text', text: textOf(error, tool, exposeStacks) }]
})

function textOf(error: unknown, tool: Tool, exposeStacks: boolean): string {
  if (error instanceof ArgumentsError) return argumentsText(error.issues, tool)
  const { kind, name, message, stack } = callFailureOf(error)
  if (kind !== 'error') return message
  return exposeStacks && stack !== undefined ? stack : `${name}: ${message}`
}

/** What is wrong with each argument, by its name. */
function argumentsText(issues: readonly Issue[], { name, parameters: { list } }: Tool): string {
  const lines = issues.map(({ path, message }) => `- ${formatIssuePath(path, list)}${message}`)
  return `the arguments of ${name} are wrong:\n${lines.join('\n')}`
}

/** `count: ` for the second of the parameters (name, count), `tags[0]: ` for the first of (...tags). */
function formatIssuePath([index, ...keys]: Issue['path'], list: ToolParameters['list']): string {
  if (!list) return keys.length > 0 ? `${formatValuePath([String(keys[0]), ...keys.slice(1)])}: ` : ''
  if (typeof index !== 'number') return ''
  const rest = list.findIndex(parameter => parameter.startsWith('...'))
  const isRest = rest >= 0 && index >= rest
  const name = (list[isRest ? rest : index] ?? `arg${index}`).replace(/^\.{3}|\?$/g, '')
  return `${formatValuePath(isRest ? [name, index - rest, ...keys] : [name, ...keys])}: `
}
